"""One network built natively in every framework that is here, and measured, turn by turn."""
