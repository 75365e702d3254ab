"""The same network in other frameworks: one file a framework, which writes it natively and says how it is run there."""

from deepenough.frameworks.export import Export
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.targets import TARGETS, named

__all__ = ["TARGETS", "Export", "Runtime", "Target", "named"]
