"""What the commands do in a terminal: call the library, draw progress, print tables."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepenough.errors import DeepenoughError
from deepenough.progress import Advance, Reporter

NOT_MET = 3
SOME_FAILED = 1
PIPED_WIDTH = 160


class Bars(Reporter):
    """Progress as bars with the time left; on something else than a terminal, a line as each task ends."""

    def __init__(self, console: RichConsole) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False)

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        number = self.progress.add_task(escape(label), total=None, note="")
        last = ""

        def advance(done: float, total: float, note: str = "") -> None:
            nonlocal last
            last = note or last
            self.progress.update(number, completed=done, total=total, note=escape(last))

        yield advance
        if not self.console.is_terminal:
            self.say(f"{label}  {last}".rstrip())


class Console:
    """Everything that a command prints goes through here: answers to stdout, progress and errors to stderr."""

    def __init__(self) -> None:
        # A file or a pipe has no width: tables are not squeezed into the 80 columns that it would be given.
        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
        self.out = RichConsole(width=wide)
        self.progress = RichConsole(stderr=True)

    def fit(
        self,
        data: str | None,
        out: Path | None,
        resumed: Path | None,
        options: dict[str, Any],
        side_by_side: dict[str, Any],
    ) -> int:
        """Run or resume a search, print its evidence; the exit status."""
        from deepenough.distribution.torchrun import EndedError, follows, launched
        from deepenough.experiment.fit import fit, resume
        from deepenough.report.tables import evidence
        from deepenough.training.memory import keep_freed_memory

        keep_freed_memory()
        if follows():
            try:
                resume(resumed) if resumed else fit(data, out=out, **options)
            except EndedError:  # the leader has said why
                return 1
            return 0
        with Bars(self.progress) as bars:
            more: dict[str, Any] = {"reporter": bars, **side_by_side}
            run = resume(resumed, **more) if resumed else fit(data, out=out, **more, **options)
        self.out.print(evidence(run.record, width=self.out.width))
        self.out.print(f"report: {escape(str(run.report))}", highlight=False, soft_wrap=True)
        self.out.print(
            f"predict: deepenough predict {escape(str(run.folder))} IMAGE...", highlight=False, soft_wrap=True
        )
        return 0 if run.met or launched() else NOT_MET  # torchrun would take it for a crash, and start again

    def plan(self, data: str | None, as_json: bool, options: dict[str, Any]) -> None:
        """Print what a search will take."""
        from deepenough.experiment.fit import plan
        from deepenough.report.tables import plan_table
        from deepenough.training.memory import keep_freed_memory

        keep_freed_memory()
        with Bars(self.progress) as bars:
            found = plan(data, reporter=bars, **options)
        if as_json:
            print(found.model_dump_json(indent=1, exclude_none=True))  # noqa: T201
        else:
            self.out.print(plan_table(found))

    def sound(self, data: str | None, as_json: bool, threads: int | None, options: dict[str, Any]) -> None:
        """Print the probes of a pretrained network."""
        import torch

        from deepenough.probing.probe import probe
        from deepenough.report.tables import probing_table
        from deepenough.training.memory import keep_freed_memory

        keep_freed_memory()
        torch.set_num_threads(threads or torch.get_num_threads())
        with Bars(self.progress) as bars:
            found = probe(data, reporter=bars, **options)
        if as_json:
            print(found.model_dump_json(indent=1))  # noqa: T201
        else:
            self.out.print(probing_table(found, self.out.width))

    def report(self, folder: Path) -> None:
        from deepenough import record
        from deepenough.report import write_report
        from deepenough.report.tables import evidence

        page = write_report(folder)
        self.out.print(evidence(record.load(folder), width=self.out.width))
        self.out.print(f"report: {escape(str(page))}", highlight=False, soft_wrap=True)

    def predict(self, run: Path, images: tuple[str, ...], top: int, style: str, reject_below: float) -> int:
        from deepenough.model import load
        from deepenough.prediction import predict_files

        write = {"json": _as_json, "csv": _as_csv, "table": self._as_table}[style]
        results = predict_files(load(run), images, top=top, reject_below=reject_below)
        failed = write(results)
        return SOME_FAILED if failed else 0

    def _as_table(self, results: Iterator[dict[str, Any]]) -> int:
        failed = 0
        for result in results:
            if "error" in result:
                failed += 1
                self.progress.print(f"{result['image']}: {result['error']}", style="red", markup=False, highlight=False)
                continue
            ranked = "  ".join(f"{c} {p:.1%}" for c, p in zip(result["classes"], result["probabilities"], strict=True))
            rejected = "" if result["label"] is not None else "rejected: "
            self.out.print(f"{result['image']}: {rejected}{ranked}", markup=False, highlight=False, soft_wrap=True)
        return failed

    def evaluate(self, run: Path, data: str, split: str | None, as_json: bool) -> None:
        from deepenough.evaluation.evaluate import evaluate
        from deepenough.model import load
        from deepenough.report.tables import metrics_table

        with Bars(self.progress) as bars:
            metrics, left_out = evaluate(run, data, split=split, reporter=bars)
        for line in left_out:
            self.progress.print(f"left out: {line}", style="red", markup=False, highlight=False)
        if as_json:
            print(metrics.model_dump_json(indent=1))  # noqa: T201
        else:
            self.out.print(metrics_table(metrics, load(run).classes))

    def nets(
        self,
        name: str | None,
        as_json: bool,
        shape: tuple[int, int, int] | None,
        classes: int | None,
        depth: int | None,
        width: float | None,
    ) -> None:
        from deepenough.nets import summary as table
        from deepenough.nets.choose import choose

        if name is None:
            given = {"--depth": depth, "--width": width, "--classes": classes, "--input": shape}
            for option, value in given.items():
                if value is not None:
                    raise DeepenoughError(f"{option} needs a network: deepenough nets NAME {option} ...")
            print(json.dumps(table.eight_json(), indent=1)) if as_json else self.out.print(table.eight_table())  # noqa: T201
            return
        network = choose(name, shape=shape, classes=classes, depth=depth, width=width)
        if as_json:
            print(json.dumps(table.network_json(network), indent=1))  # noqa: T201
        else:
            self.out.print(table.network_table(network))

    def augment(
        self,
        data: str | None,
        strength: str,
        switches: dict[str, Any],
        out: Path | None,
        times: int | None,
        size: int | None,
        seed: int,
    ) -> None:
        from deepenough.data import open_source, prepare
        from deepenough.data.augment import Augment
        from deepenough.data.contact_sheet import contact_sheet, enlarge

        source = open_source(data)
        with Bars(self.progress) as bars:
            with bars.task("reading images") as advance:
                images = prepare(source, size=size, seed=seed, progress=advance)
            policy = replace(Augment.named(strength, images.mirror), **switches)
            if times is None:
                path = out or Path(f"{Path(source.name).stem or 'images'}-augmented.png")
                if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
                    raise DeepenoughError(f"--out {path}: expected a picture, as {path.name or 'sheet'}.png")
                contact_sheet(images, policy, seed=seed).save(path)
                self.out.print(f"picture: {path}", markup=False, highlight=False, soft_wrap=True)
                return
            if out is None:
                raise DeepenoughError("--times needs --out DIR, the folder for the enlarged data set")
            with bars.task("writing images") as advance:
                count = enlarge(images, policy, times, out, seed, progress=advance)
        self.out.print(f"{count:,} images: {out}", markup=False, highlight=False, soft_wrap=True)


def _as_json(results: Iterator[dict[str, Any]]) -> int:
    failed = 0
    for result in results:
        failed += "error" in result
        print(json.dumps(result, ensure_ascii=False), flush=True)  # noqa: T201
    return failed


def _as_csv(results: Iterator[dict[str, Any]]) -> int:
    """A row an image: the label (empty when rejected), then classes and probabilities from the most probable."""
    failed, writer = 0, csv.writer(sys.stdout)
    for number, result in enumerate(results):
        if "error" in result:
            failed += 1
            print(f"{result['image']}: {result['error']}", file=sys.stderr)  # noqa: T201
            continue
        pairs = list(zip(result["classes"], result["probabilities"], strict=True))
        if number == failed:
            writer.writerow(
                ["image", "label", *(f"{kind}_{i + 1}" for i in range(len(pairs)) for kind in ("class", "p"))]
            )
        writer.writerow([result["image"], result["label"] or "", *(v for c, p in pairs for v in (c, f"{p:.6f}"))])
    return failed
