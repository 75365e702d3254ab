"""Frameworks and runtimes at work in processes of their own, which measure and answer a line a command."""
