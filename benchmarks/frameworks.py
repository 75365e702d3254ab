"""The frameworks on AlexNet, VGG-16, GoogLeNet and ResNet-50 at full size, as Markdown tables.

    python benchmarks/frameworks.py [NETWORK ...] [--batch 16] [--rounds 2] [--out benchmarks/frameworks.md]

The machine has to be alone: medians are taken over turns, but a busy hour makes all of them slower. Comparisons that
lie in the folder --from already are not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from deepenough.compare import text as words
from deepenough.compare.comparison import compare_frameworks
from deepenough.compare.page import NUMBERS, write_comparison
from deepenough.compare.results import FrameworkComparison, FrameworkResult, Timing
from deepenough.nets.choose import choose_network
from deepenough.progress import Reporter

FOUR = ("alexnet", "vgg16", "googlenet", "resnet50")


class Lines(Reporter):
    def say(self, text: str) -> None:
        print(text, flush=True)


def read(path: Path) -> FrameworkComparison:
    """A comparison that was written."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del content["format"]
    results = tuple(FrameworkResult(**result) for result in content.pop("results"))
    return FrameworkComparison(results=results, **(content | {"input": tuple(content["input"])}))


def section(found: FrameworkComparison) -> str:
    """One network's tables."""
    lines = [
        f"## {found.network}",
        "",
        f"{'x'.join(map(str, found.input))}, batch {found.batch}, {words.amount(found.parameters)} parameters, "
        f"{words.amount(found.macs)} multiply-accumulates an image. {found.date}; {found.machine}. "
        f"{words.fastest(found)} {words.gradient_check(found)}",
        "",
        "| framework | mode | training, images/s | prediction, images/s | first training step | first prediction |",
        "|---|---|---|---|---|---|",
    ]
    for result in found.results:
        for number, mode in enumerate(words.modes(result)):
            cells = [
                result.version if number == 0 else "", mode, words.rate(result, "train", mode),
                words.rate(result, "infer", mode), words.first(result, "train", mode),
                words.first(result, "infer", mode),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| framework | peak memory, prediction | all | on disk | lines of code | loss differs by | gradients by |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in found.results:
        cells = [
            result.framework, words.size(result.peak_infer), words.size(result.peak), words.size(result.disk),
            "–" if result.lines is None else str(result.lines), words.relative_difference(result.loss_difference),
            words.relative_difference(result.gradient_difference),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *[f"\n{line}" for line in words.failures(found)], ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=FOUR)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--from", dest="folder", type=Path, default=Path("runs/compare"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/frameworks.md"))
    given = parser.parse_args()
    sections = []
    for name in given.networks:
        folder = given.folder / name
        if not (folder / NUMBERS).is_file():
            network = choose_network(name, shape=(3, 224, 224) if name != "alexnet" else None)
            found = compare_frameworks(network, Timing(given.batch, given.rounds, given.seconds), reporter=Lines())
            write_comparison(found, folder)
        sections.append(section(read(folder / NUMBERS)))
    command = f"`python benchmarks/frameworks.py {' '.join(given.networks)} --batch {given.batch}`"
    opening = (
        f"# The frameworks, compared\n\nMade by {command}: every framework has the network in its own layers, with the "
        "same weights and without dropout, in a process of its own; figures are medians over turns. A step is plain "
        "SGD in float32. AlexNet takes the 227 pixels that its layers need, the others 224.\n\n"
    )
    given.out.write_text(opening + "\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
