"""What do exports in int8 lose, on as many images as it takes to see a point?

    python benchmarks/int8.py MODEL DATA [--to onnx litert] [--images 3000]

MODEL is a run or a model folder, DATA labelled images that it knows the classes of. `deepenough export --int8` measures
the same on 1,000 images at most, whose bounds are 1.7 times as wide.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from deepenough.cli.export import cost_sentence
from deepenough.exporting import export as exporting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--to", nargs="+", default=["onnx", "litert"])
    parser.add_argument("--images", type=int, default=3_000)
    given = parser.parse_args()
    exporting.MEASURED = given.images
    for to in given.to:
        with tempfile.TemporaryDirectory() as folder:
            done = exporting.export(given.model, to, out=Path(folder) / to, int8=True, data=given.data)
        for cost in done.costs:
            print(cost_sentence(cost, done.precision), flush=True)


if __name__ == "__main__":
    main()
