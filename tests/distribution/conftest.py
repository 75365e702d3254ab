"""The network and images that most tests of trainings use."""

from training_fixtures import images, network, one_thread

__all__ = ["images", "network", "one_thread"]
