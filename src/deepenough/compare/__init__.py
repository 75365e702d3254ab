"""One network built natively in every framework that is installed, and measured turn by turn."""
