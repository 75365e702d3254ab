"""What does growing one network block by block find, and what does it cost, beside `fit --target`?

    python benchmarks/optimally_deep.py DATA --target 0.9 [--limit 4000] [--max-depth 11] [--patience 8] [--width 1]

Progressive depth expansion is the training of Optimally Deep Networks (Tareen and Tareen 2025, arXiv 2510.10764), here
as in the authors' notebooks (github.com/saktx/Optimally_Deep_Networks): one deep network with an exit behind every
block; a warm-up that trains all exits together; then the shallowest exit until its validation accuracy stops getting
better. Where that stays more than the tolerance under the target, the weights go back to those of the warm-up and the
next deeper exit is trained, at half the rate; where it does not, it is trained on until it stops again, and the best of
its epochs is kept.

Both sides have the same images, split, augmentation, family, width and deepest network. Other than in the paper:

- the network is our residual family of small images instead of ResNet-18 or -34, and it is cut after every block and
  after each convolution between its levels;
- batches and augmentation are those of `fit`: batches of 128 would be few steps with so few images;
- the patience and the wait before the rate falls are shorter in proportion (8 and 2 epochs instead of 23 and 5), since
  runs are to take minutes;
- the warm-up is at a learning rate of 0.01 instead of 0.001, for the same reason.

Its cost is counted as ours is: a training image costs three forward passes, a judged one costs one; in the warm-up that
is done for every exit. `fit` is asked to decide on the same validation images (`--folds 1`).
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from deepenough.data.images import Images
from deepenough.data.sources import open_source
from deepenough.data.split import Index
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.nets import Network, depth, macs
from deepenough.nets.build import build
from deepenough.nets.cut import HEAD, cuts
from deepenough.nets.layers import Dense, GlobalAvgPool
from deepenough.progress import Reporter
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Feed, Loader
from deepenough.training.recipe import Recipe
from fitted import fitted

CPU = torch.device("cpu")
RATE, WARM_UP_RATE, DECAY = 0.01, 0.01, 0.6
WARM_UP_EPOCHS = 3
TOLERANCE = 0.005  # below the target at which an exit is deep enough to be trained on
SHARE_OF_PATIENCE = 5 / 23  # epochs without a gain before the rate falls


@dataclass(frozen=True, eq=False)
class Exit:
    """The network up to one block, with its own head; `module` shares all but the head with the other exits."""

    network: Network
    module: nn.Module

    @property
    def macs(self) -> int:
        return macs(self.network)


@dataclass(frozen=True)
class Found:
    """The exit that training ended with: its depth, accuracies in 0..1, and the multiply-accumulates in all."""

    depth: int
    validation: float
    test: float
    cost: int
    reached: bool


def exits_of(network: Network, classes: int, seed: int) -> list[Exit]:
    """The exits of a network, shallow to deep: pooled means and a dense layer behind every block."""
    head = (GlobalAvgPool(name="pool"), Dense(classes, name=HEAD))
    networks = [replace(network, name=f"exit-{cut.place}", stack=(*cut.stack, *head)) for cut in cuts(network)]
    modules = [build(each, seed) for each in networks]
    shared = dict(modules[-1].named_modules())
    for module in modules[:-1]:
        for path, layer in list(module.named_modules()):
            if not list(layer.children()) and path.partition(".")[0] not in ("pool", HEAD):
                parent, _, name = path.rpartition(".")
                setattr(module.get_submodule(parent), name, shared[path])
    return [Exit(each, module) for each, module in zip(networks, modules, strict=True)]


@dataclass
class Expansion:
    """Progressive depth expansion on one set of images; `cost` adds up what it spends."""

    images: Images
    recipe: Recipe
    exits: Sequence[Exit]
    seed: int
    patience: int
    cost: int = 0
    epoch: int = 0

    def find(self, target: float) -> Found:
        """Deepen until an exit comes within the tolerance of the target or is the deepest; train that one on."""
        self._warm_up()
        warm = copy.deepcopy([each.module.state_dict() for each in self.exits])
        for number, last in enumerate(self.exits):
            for each, state in zip(self.exits, warm, strict=True):
                each.module.load_state_dict(state)
            best = self._train(last, RATE if number == 0 else RATE / 2)
            print(f"  depth {depth(last.network)}: {best:.1%} on validation", flush=True)
            if best >= target - TOLERANCE:
                break
        test = self.images.split.test
        return Found(depth(last.network), best, self._accuracy(last, test), self.cost, best >= target)

    def _warm_up(self) -> None:
        """Train all exits together, the deepest first in every step."""
        parameters = {id(p): p for each in self.exits for p in each.module.parameters()}
        optimizer = _optimizer(list(parameters.values()), WARM_UP_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, WARM_UP_EPOCHS)
        for _ in range(WARM_UP_EPOCHS):
            self._epoch(list(reversed(self.exits)), optimizer)
            schedule.step()

    def _train(self, last: Exit, rate: float) -> float:
        """Train an exit until its validation accuracy stops getting better; its best, whose weights it is left with.

        As in the notebooks, the count of epochs without a gain starts anew only with a gain, so an exit that comes
        within the tolerance is trained on as before.
        """
        optimizer = _optimizer(list(last.module.parameters()), rate)
        best, kept, without = 0.0, copy.deepcopy(last.module.state_dict()), 0
        while without < self.patience:
            self._epoch([last], optimizer)
            accuracy = self._accuracy(last, self.images.split.validation)
            self.cost += last.macs * len(self.images.split.validation)
            if accuracy > best:
                best, kept, without = accuracy, copy.deepcopy(last.module.state_dict()), 0
                continue
            without += 1
            if without % max(1, round(SHARE_OF_PATIENCE * self.patience)) == 0:
                for group in optimizer.param_groups:
                    group["lr"] *= DECAY
        last.module.load_state_dict(kept)
        return best

    def _epoch(self, exits: Sequence[Exit], optimizer: torch.optim.Optimizer) -> None:
        train = self.images.split.train
        feed = Feed(Loader(self.images, CPU), train, self.recipe.batch, self.recipe.augment, self.seed)
        for each in exits:
            each.module.train()
        for batch in feed.epoch(self.epoch):
            optimizer.zero_grad()
            for each in exits:
                cross_entropy(each.module(batch.images), batch.targets).backward()
            optimizer.step()
        self.epoch += 1
        self.cost += 3 * len(train) * sum(each.macs for each in exits)

    def _accuracy(self, last: Exit, index: Index) -> float:
        found = predict_probabilities(last.module, self.images, index, self.images.preprocess, CPU)
        return float((found.argmax(axis=1) == self.images.labels[index]).mean())


def _optimizer(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=5e-4)


def expanded(given: argparse.Namespace) -> Found:
    """What progressive depth expansion finds on the images and split that `fit` would have."""
    asked = Options.of(
        data=given.data, scratch=True, limit=given.limit, seed=given.seed, max_depth=given.max_depth,
        width=(given.width,), folds=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(asked, open_source(given.data), (), Path(folder), Reporter())
        experiment = prepare_experiment(request)
        deepest = experiment.search_space[-1].network
        exits = exits_of(deepest, len(experiment.images.classes), given.seed)
        found = Expansion(experiment.images, experiment.recipe, exits, given.seed, given.patience)
        return found.find(given.target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--max-depth", type=int, default=11)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--patience", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| | depth | target | validation | test | multiply-accumulates |\n" + "|---" * 6 + "|", flush=True)
    found = expanded(given)
    met = "reached" if found.reached else "not reached"
    row = f"{found.validation:.1%} | {found.test:.1%} | {found.cost:.2e} |"
    print(f"| progressive depth expansion | {found.depth} | {met} | {row}", flush=True)
    options = {
        name: getattr(given, name.replace("-", "_")) for name in ("target", "limit", "max-depth", "width", "seed")
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    record = fitted(given.data, "--scratch", "--folds", "1", *words)
    chosen = next(each for each in record["candidates"] if each["name"] == record["decision"]["chosen"])
    kind = {"shown": "shown", "seems": "seems"}.get(record["decision"]["kind"], "not reached")
    row = f"{chosen['decision']['top1']['value']:.1%} | {record['test']['top1']['value']:.1%}"
    print(f"| fit --target | {chosen['depth']} | {kind} | {row} | {record['cost']['spent']:.2e} |", flush=True)


if __name__ == "__main__":
    main()
