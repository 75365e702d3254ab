"""Compare recipes for fine-tuning a whole pretrained network: accuracy, log loss, calibration error and seconds.

    python benchmarks/finetuning.py DATA --weights FILE [--preprocess caffe-bgr] [--size 96] [--limit 400]
        [--folds 0 1] -- RECIPE ...

RECIPE is as in `benchmarks/recipes.py`. Each begins with the same probe of the fold and is judged on the images that
the fold holds out; --folds numbers those that `fit` decides on from 0. Seconds are of the process on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.probing.choice import choose_weights
from deepenough.progress import Reporter
from deepenough.training.memory import keep_freed_memory
from deepenough.training.metrics import calibration_error, log_loss
from deepenough.training.recipe import finetune_recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train
from recipes import recipe_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--preprocess")
    parser.add_argument("--size", type=int)
    parser.add_argument("--limit", type=int, help="images of each split at most")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], help="numbers of folds that `fit` decides on")
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    asked = Options.of(
        data=given.data,
        weights=(given.weights,),
        preprocess=given.preprocess,
        size=given.size,
        limit=given.limit,
        threads=1,
    )
    source, reporter = open_source(asked.data), Reporter()
    with tempfile.TemporaryDirectory() as folder:
        weights = choose_weights(asked, source, reporter)
        experiment = prepare_experiment(RunRequest(asked, source, weights, Path(folder), reporter))
        assert experiment.pretrained is not None
        whole, images = experiment.search_space[-1], experiment.images
        for number in given.folds:
            fold = experiment.trainer.folds.folds[number]
            initial = experiment.pretrained.start(whole, fold.train, Path(folder) / f"fold{number}")
            print(f"fold {number}: {len(fold.train)} images to train on, {len(fold.held_out)} to judge", flush=True)
            for words in given.recipes:
                count, shape = len(images.split.train), images.preprocess.shape
                recipe = recipe_of(words, count, shape, images.mirror, finetune_recipe)
                clock, labels = time.process_time(), images.labels[fold.held_out]
                spec = TrainingSpec(whole.network, recipe, fold.train, fold.held_out, asked.seed, initial)
                with tempfile.TemporaryDirectory() as kept:
                    trained = train(spec, images, Path(kept))
                chances = trained.probabilities
                hits = chances.argmax(1) == labels
                print(
                    f"  {words} ({recipe.epochs} epochs, rate {recipe.known_lr or 'tested'}): "
                    f"{100 * np.mean(hits):.1f}%, log loss {log_loss(chances, labels):.3f}, calibration error "
                    f"{100 * calibration_error(chances.max(1), hits):.1f}%, {time.process_time() - clock:.0f} CPU s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
