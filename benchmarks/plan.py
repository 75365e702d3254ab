"""Compare the time that `fit` estimates with the time that it takes.

    python benchmarks/plan.py [DATA ...] [--limit 5000] [--epochs 4]

Runs `deepenough fit` on each data set, in a process of its own, and prints from the records what was estimated before
the search, what the trainings that it came to were expected to take, by a few steps of each network before, and what
they took; the same for the memory; and which share of the time was waited for images. DATA may be digits,
fashion-mnist or a path, with options after a comma: `photos,--size=96`. The machine has to be alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fitted import fitted

GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["digits", "fashion-mnist"])
    parser.add_argument("--limit", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    print(
        "| data | trainings | estimated | expected | took | ratio | memory expected | taken | waited |\n|" + 9 * "---|",
        flush=True,
    )
    for each in given.data:
        data, *options = each.split(",")
        record = fitted(data, "--limit", str(given.limit), "--epochs", str(given.epochs), *options)
        plan, trainings = record["plan"], [t for c in record["candidates"] for t in c["trainings"]]
        cells = [
            f"{Path(data).name} {' '.join(options)}",
            str(len(trainings)),
            f"{plan['least']:.0f} to {plan['most']:.0f} s",
            f"{plan['expected']:.0f} s",
            f"{plan['seconds']:.0f} s",
            f"{plan['seconds'] / plan['expected']:.2f}",
            f"{plan['memory'] / GIB:.2f} GiB",
            f"{(plan['peak'] or 0) / GIB:.2f} GiB",
            f"{sum(t['waited'] for t in trainings) / sum(t['seconds'] for t in trainings):.1%}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
