"""Which architectures are tried, and the rules and statistics that choose among them."""
