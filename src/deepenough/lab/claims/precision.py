"""Half precision (and double) trains to the same accuracy; speed on this machine."""

from __future__ import annotations

from dataclasses import replace

from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.nets import FAMILIES
from deepenough.train import choose_device

MARGIN = 0.01  # how much less is still the same


def measure(bench: Bench) -> Seen:
    """The same training in every precision of this device."""
    family = FAMILIES["residual"]
    network = family.network(bench.input, bench.classes, depth=family.depth_of(1, bench.input), width=0.5)
    halves = ("bfloat16", "float16") if choose_device(bench.recipe.device).type == "cuda" else ("bfloat16",)
    points, times = {}, {}
    for precision in ("float64", "float32", *halves):
        recipe = replace(bench.recipe, precision=precision)
        runs = [bench.train(network, seed, recipe=recipe) for seed in bench.seeds]
        points[precision] = Point(x=precision, values=[run.curve[-1].top1 for run in runs])
        times[precision] = sum(run.seconds for run in runs)
    usual = points["float32"].values
    return Seen(
        x="precision",
        y="accuracy",
        lines=[Line(name="accuracy", points=list(points.values()))],
        effects=[
            Effect(
                what=f"accuracy in {name} less that in float32", values=less(points[name].values, usual), bound=-MARGIN
            )
            for name in ("float64", *halves)
        ],
        notes=[
            f"Training took {times[name] / times['float32']:.2f} times as long in {name} as in float32."
            for name in ("float64", *halves)
        ],
    )
