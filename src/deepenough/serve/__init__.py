"""A model behind HTTP, with a page to try it."""

from deepenough.serve.ray import ray_app

__all__ = ["ray_app"]
