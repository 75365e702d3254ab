"""Write a model for another framework and prove that it predicts the same."""
