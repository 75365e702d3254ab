"""One contender of `time_to_accuracy.py`: after every epoch it prints the seconds trained and the test accuracy.

python time_to_accuracy_worker.py CONTENDER arrays.npz SEED

CONTENDER is ours:residual-7-1-3, previous:residual-7-1-3, keras, resnet9, fastai or ultralytics. `previous` is ours by
the sources of a version from 28 November 2026 on, which measures configurations as this one does.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Stopwatch:
    """Counts the seconds between `go` and `hold`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def go(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def hold(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self.began


def tell(seconds: float, top1: float) -> None:
    print(json.dumps({"seconds": seconds, "top1": float(top1)}), flush=True)


def ours(arrays: Any, seed: int, what: str) -> None:
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()
    from dataclasses import replace

    from deepenough.autotuning.step_timing import StepTrial
    from deepenough.autotuning.tuning import TUNABLE, tune
    from deepenough.data.images import prepare
    from deepenough.data.sources import open_source
    from deepenough.nets import FAMILIES
    from deepenough.training.callbacks import ReportProgress
    from deepenough.training.curve import Epoch
    from deepenough.training.recipe import default_recipe
    from deepenough.training.spec import TrainingSpec
    from deepenough.training.train import train

    family, depth, width, epochs = what.split("-")
    images = prepare(open_source(str(arrays["data"])))
    shape = images.preprocess.shape
    network = FAMILIES[family].network(input=shape, classes=len(images.classes), depth=int(depth), width=float(width))
    # An earlier version may number the images otherwise: it has left out other duplicates.
    train_rows = np.concatenate([images.split.train, images.split.validation])
    recipe = replace(default_recipe(len(train_rows), shape, images.mirror), epochs=int(epochs), device="cpu")
    told: list[int] = []

    def progress(done: int, total: int, epoch: Epoch | None) -> None:
        if epoch and epoch.epoch not in told:
            told.append(epoch.epoch)
            tell(time.perf_counter() - began, epoch.top1)

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        spec = TrainingSpec(network, recipe, train_rows, images.split.test, seed)
        found = tune(
            StepTrial(spec, images), recipe.epochs * len(train_rows), tunable=TUNABLE - {"threads"}, cache=folder
        )
        spec = replace(spec, recipe=found.chosen.apply(recipe))
        print(found, file=sys.stderr, flush=True)
        train(spec, images, Path(folder), [ReportProgress(progress)])


def keras(arrays: Any, seed: int) -> None:
    """https://keras.io/examples/vision/mnist_convnet, with as many epochs as it takes."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    x, tx = (arrays[name].astype("float32") / 255 for name in ("x", "tx"))
    y = keras.utils.to_categorical(arrays["y"], 10)
    model = keras.Sequential(
        [
            keras.Input(shape=x.shape[1:]),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    clock = Stopwatch()
    while True:
        clock.go()
        model.fit(x, y, batch_size=128, epochs=1, verbose=0)
        clock.hold()
        tell(clock.seconds, accuracy(model.predict(tx, batch_size=256, verbose=0), arrays["ty"]))


def resnet9(arrays: Any, seed: int) -> None:
    """The ResNet-9 of many a notebook: Adam in one cycle of eight epochs, batches of 400, clipped gradients."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def conv(inputs: int, outputs: int, *pool: nn.Module) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(True), *pool)

    class Residual(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + x

    def augmented(x: torch.Tensor) -> torch.Tensor:
        """Cropped out of four reflected pixels around it, each image elsewhere, and half of them mirrored."""
        rows, columns = (torch.arange(size) + torch.randint(0, 9, (len(x), 1)) for size in x.shape[2:])
        padded, index = F.pad(x, (4, 4, 4, 4), mode="reflect"), torch.arange(len(x))
        cropped = padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, cropped.flip(3), cropped)

    torch.manual_seed(seed)
    epochs, batch = 8, 400
    x, tx, y = images_of(arrays["x"]), images_of(arrays["tx"]), torch.from_numpy(arrays["y"])
    model = nn.Sequential(
        conv(x.shape[1], 64), conv(64, 128, nn.MaxPool2d(2)), Residual(conv(128, 128), conv(128, 128)),
        conv(128, 256, nn.MaxPool2d(2)), conv(256, 512, nn.MaxPool2d(2)), Residual(conv(512, 512), conv(512, 512)),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=epochs * -(-len(x) // batch))
    clock = Stopwatch()
    for _ in range(epochs):
        clock.go()
        model.train()
        for rows in torch.randperm(len(x)).split(batch):
            F.cross_entropy(model(augmented(x[rows])), y[rows]).backward()
            nn.utils.clip_grad_value_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        clock.hold()
        model.eval()
        with torch.inference_mode():
            tell(clock.seconds, accuracy(torch.cat([model(each) for each in tx.split(batch)]), arrays["ty"]))


def fastai(arrays: Any, seed: int) -> None:
    import torch

    from torchvision_stub import without_operators

    without_operators()
    from fastai.vision.all import (  # type: ignore[import-not-found]
        Callback,
        CrossEntropyLossFlat,
        DataLoaders,
        Learner,
        accuracy,
        set_seed,
    )  # fmt: skip
    from fastai.vision.models.xresnet import xresnet18  # type: ignore[import-not-found]

    set_seed(seed)
    pairs = [
        torch.utils.data.TensorDataset(images_of(arrays[x]), torch.from_numpy(arrays[y]))
        for x, y in (("x", "y"), ("tx", "ty"))
    ]
    clock = Stopwatch()

    class Tell(Callback):  # type: ignore[misc]
        def before_train(self) -> None:
            clock.go()

        def after_train(self) -> None:
            clock.hold()

        def after_epoch(self) -> None:
            tell(clock.seconds, self.recorder.values[-1][-1])

    loaders = DataLoaders.from_dsets(*pairs, bs=64, num_workers=0)
    model = xresnet18(n_out=10, c_in=arrays["x"].shape[-1])
    learner = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy)
    told = Tell()
    told.order = 60  # after the recorder
    with learner.no_bar():
        learner.fit_one_cycle(5, 3e-3, cbs=told)


def ultralytics(arrays: Any, seed: int) -> None:
    from PIL import Image

    from torchvision_stub import without_operators

    without_operators()
    from ultralytics import YOLO  # type: ignore[import-not-found]

    clock = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        for split, x, y in (("train", "x", "y"), ("val", "tx", "ty")):
            for label in range(10):
                (Path(folder) / split / str(label)).mkdir(parents=True)
            for number, (pixels, label) in enumerate(zip(arrays[x], arrays[y], strict=True)):
                path = Path(folder) / split / str(label) / f"{number}.png"
                Image.fromarray(pixels.squeeze()).convert("RGB").save(path)
        model = YOLO("yolo11n-cls.yaml")
        model.add_callback("on_train_epoch_start", clock.go)
        model.add_callback("on_train_epoch_end", clock.hold)
        model.add_callback(
            "on_fit_epoch_end", lambda trainer: tell(clock.seconds, trainer.metrics["metrics/accuracy_top1"])
        )
        model.train(
            data=folder, epochs=10, imgsz=32, batch=128, seed=seed, device="cpu", workers=2, plots=False, save=False,
            pretrained=False, project=folder, verbose=False,
        )  # fmt: skip


def images_of(pixels: Any) -> Any:
    """uint8 (N, H, W, C) to float32 (N, C, H, W), about normalised."""
    import torch

    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(0.45).div(0.25).contiguous()


def accuracy(probabilities: Any, labels: Any) -> float:
    return float((np.asarray(probabilities).argmax(axis=1) == labels).mean())


def main(words: Sequence[str]) -> None:
    contender, path, seed = words
    with np.load(path) as found:
        arrays = dict(found)
    kind, _, what = contender.partition(":")
    if kind in ("ours", "previous"):
        ours(arrays, int(seed), what)
    else:
        {"keras": keras, "resnet9": resnet9, "fastai": fastai, "ultralytics": ultralytics}[kind](arrays, int(seed))


if __name__ == "__main__":
    main(sys.argv[1:])
