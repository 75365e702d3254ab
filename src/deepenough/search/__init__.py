"""The choice of the architectures that are tried, and the rules and statistics that decide among them."""
