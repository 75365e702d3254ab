"""Autotuning: the fastest configuration of a training step on this machine."""
