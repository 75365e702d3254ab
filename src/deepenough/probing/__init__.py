"""Pretrained networks: features at every depth, linear probes on them, and where to cut."""
