"""One hidden layer of N sigmoid units fits a function ever better with N; a deep narrow one needs fewer parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials

UNITS = (2, 4, 8, 16, 32)
DEEP = ((4, 4), (4, 4, 4), (6, 6))  # from few parameters to many
POINTS = 256
FALLS = "powers of ten by which the error falls from %(few)s to %(many)s units"
MINUS = "error of one layer with %(many)s parameters minus that of %(layers)s with %(few)s"
STEEP = 20.0  # of the first weights: a sigmoid then rises within a tenth of the interval


def sawtooth(x: torch.Tensor) -> torch.Tensor:
    """A sawtooth, which folding makes cheap (Telgarsky 2016, arXiv 1602.04485)."""
    return 2 * (4 * x - (4 * x + 0.5).floor()).abs()


def fit_error(trials: Trials, widths: Sequence[int], seed: int) -> float:
    """Root mean square error of a network of sigmoid layers on [0, 1], by L-BFGS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in pairwise((1, *widths)):
            hidden = nn.Linear(before, after)
            nn.init.normal_(hidden.weight, std=STEEP)
            with torch.no_grad():  # so that their steps are spread over the inputs
                hidden.bias.copy_(-(hidden.weight * torch.rand_like(hidden.weight)).sum(1))
            layers += [hidden, nn.Sigmoid()]
        model = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).double()
    x = torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]
    y = sawtooth(x)
    steps = 300 if trials.quick else 2000
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        trials.check_stop()
        optimizer.zero_grad()
        loss: torch.Tensor = (model(x) - y).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(closure().detach().sqrt())


def parameter_count(widths: Sequence[int]) -> int:
    return sum((a + 1) * b for a, b in zip((1, *widths), (*widths, 1), strict=True))


def measure(trials: Trials) -> Result:
    """Error against the number of parameters, one hidden layer and several."""

    def point(widths: Sequence[int]) -> Point:
        errors = [fit_error(trials, widths, seed) for seed in trials.seeds]
        return Point(x=parameter_count(widths), values=errors, note="-".join(map(str, widths)))

    wide, deep = [point((units,)) for units in UNITS], [point(widths) for widths in DEEP]
    best = min(deep, key=lambda point: point.mean)
    rival = max((p for p in wide if float(p.x) >= float(best.x)), key=lambda p: -p.mean, default=wide[-1])
    return Result(
        x=said("parameters"),
        y=said("root mean square error"),
        on=said("a sawtooth at %(count)s points, no images", count=POINTS),
        log_x=True,
        log_y=True,
        lines=[Line(name=said("one hidden layer"), points=wide), Line(name=said("deep and narrow"), points=deep)],
        effects=[
            *(
                Effect(
                    what=said(FALLS, few=few.note, many=many.note),
                    values=[math.log10(a / b) for a, b in zip(few.values, many.values, strict=True)],
                )
                for few, many in pairwise(wide)
            ),
            Effect(
                what=said(MINUS, many=f"{rival.x:g}", layers=best.note, few=f"{best.x:g}"),
                values=[a - b for a, b in zip(rival.values, best.values, strict=True)],
            ),
        ],
        notes=[
            said(
                "Every step from one size to the next is judged, by what L-BFGS finds, which need not be the best fit."
            )
        ],
    )
