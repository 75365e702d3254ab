"""Models on the Hugging Face hub: the model card, pushing a run's model, and fetching one."""

from __future__ import annotations

HUB_PREFIX = "hf:"
"""The beginning of what is on the hub, a model or a data set: `hf:user/name`."""
