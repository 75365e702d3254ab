"""Recipe, loop, checkpoints, evaluation: how one network is trained."""

from deepenough.train.curve import Epoch
from deepenough.train.device import choose_device, place
from deepenough.train.evaluate import evaluate
from deepenough.train.group import ALONE, Group
from deepenough.train.memory import keep_freed_memory
from deepenough.train.range_test import range_images
from deepenough.train.recipe import Recipe, default_recipe, finetune_recipe
from deepenough.train.result import Trained
from deepenough.train.scores import Scores
from deepenough.train.signals import signal_images
from deepenough.train.stop import Interrupted, Stop
from deepenough.train.train import train

__all__ = [
    "ALONE",
    "Epoch",
    "Group",
    "Interrupted",
    "Recipe",
    "Scores",
    "Stop",
    "Trained",
    "choose_device",
    "default_recipe",
    "evaluate",
    "finetune_recipe",
    "keep_freed_memory",
    "place",
    "range_images",
    "signal_images",
    "train",
]
