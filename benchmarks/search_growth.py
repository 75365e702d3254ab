"""How does the cost of a search grow with the number of images, and with the length of the search space?

    python benchmarks/search_growth.py DATA [--limits 1000 2000 4000] [--depths 7 19 35] [--epochs 4] [--target 0.999]

Runs `deepenough fit` with each number of images and the middle search space, then with each search space and the middle
number of images, and prints what it spent: multiply-accumulates, seconds of training, and both against what the deepest
network of the search space costs for so many images. Cost that is linear in the data, and at most linear in the deepest
candidate, keeps the last column from growing. A target that nothing meets makes it climb the whole search space.
"""

from __future__ import annotations

import argparse
from typing import Any

from fitted import fitted


def searched(data: str, limit: int, depth: int, epochs: int, target: float) -> dict[str, Any]:
    options = {"limit": limit, "max-depth": depth, "epochs": epochs, "target": target, "folds": 1, "seed": 0}
    return fitted(data, "--scratch", *(word for name, value in options.items() for word in (f"--{name}", str(value))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--limits", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--depths", type=int, nargs="+", default=[7, 19, 35])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--target", type=float, default=0.999)
    given = parser.parse_args()
    middle = given.limits[len(given.limits) // 2], given.depths[len(given.depths) // 2]
    settings = [(limit, middle[1]) for limit in given.limits] + [(middle[0], depth) for depth in given.depths]
    print(
        "| images | deepest | trained | multiply-accumulates | seconds | in trainings of the deepest |\n"
        + "|---" * 6
        + "|"
    )
    for limit, depth in settings:
        record = searched(given.data, limit, depth, given.epochs, given.target)
        images = sum(record["data"]["counts"]["train"])
        deepest = 3 * max(architecture["macs"] for architecture in record["search_space"]) * images * given.epochs
        spent = record["cost"]["spent"]
        print(
            f"| {images:,} | {depth} | {len(record['candidates'])} | {spent:.2e} | {record['cost']['seconds']:.0f} s | "
            f"{spent / deepest:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
