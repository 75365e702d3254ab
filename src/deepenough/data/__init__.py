"""Where images come from, what is wrong with them, how they are split, cached, augmented and fed."""
