"""Recipe, loop, checkpoints, evaluation: how one network is trained."""

from deepenough.training.curve import Epoch
from deepenough.training.device import choose_device, place
from deepenough.training.evaluate import evaluate
from deepenough.training.gradient_statistics import signal_images
from deepenough.training.interrupt import Interrupted, Stop
from deepenough.training.lr_range_test import range_images
from deepenough.training.memory import keep_freed_memory
from deepenough.training.metrics import Scores
from deepenough.training.process_group import ALONE, Group
from deepenough.training.recipe import Recipe, default_recipe, finetune_recipe
from deepenough.training.result import Trained
from deepenough.training.train import train

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
