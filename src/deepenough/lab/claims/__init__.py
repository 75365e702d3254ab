"""The claims, each a small recipe on the same training code."""
