"""A lab's record with every kind of figure, as if it had been measured."""

from __future__ import annotations

from deepenough.lab import CLAIMS
from deepenough.lab.record import Effect, LabRecord, Line, Point, Result, overall_verdict
from deepenough.lab.text import said


def lab_record(**changes: object) -> LabRecord:
    points = [Point(x=x, values=[0.5, 0.6 + x / 100], unit="share", images=40, error=0.01) for x in (3.0, 7.0)]
    effects = [
        Effect(what=said("accuracy at depth %(deep)s minus that at depth %(shallow)s", deep="7", shallow="3"),
               values=values, unit="difference of shares", images=40)
        for values in ([0.2, 0.21], [0.0, 0.1], [-0.2, -0.21])
    ]  # fmt: skip
    effects.append(Effect(what=said("pixels that %(small)s sees further", small="3x3-3x3"), values=[1], kind="counted"))
    lines = [
        Line(name=said("%(count)s images", count="200"), points=points),
        Line(name=said("residual"), points=[Point(x=3.0, values=[0.4], note=said("%(count)s images", count="9"))]),
    ]
    result = Result(x=said("depth"), y=said("accuracy"), lines=lines, effects=effects, notes=[
        said("`deepenough features RUN` shows the patches that excite each depth."),
    ])  # fmt: skip
    made = {
        "name": "deeper", "claim": CLAIMS["deeper"].text, "quick": True, "seeds": [0, 1], "result": result,
        "data": said("%(source)s, %(train)s images to train, %(judge)s to judge", source="digits", train="9",
                     judge="40"),
        "verdict": overall_verdict(effects), "seconds": 75.0, "environment": {"deepenough": "0.2.0", "device": "cpu"},
    }  # fmt: skip
    return LabRecord.model_validate(made | changes)
