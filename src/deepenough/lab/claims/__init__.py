"""The claims, a file each, on the training code of `fit`."""
