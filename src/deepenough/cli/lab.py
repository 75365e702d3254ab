"""`deepenough lab` in a terminal."""

from __future__ import annotations

from pathlib import Path

from deepenough.cli.console import Bars, Console
from deepenough.lab.page import bounds, shown
from deepenough.lab.run import CLAIMS, run


def listing(console: Console) -> None:
    """The claims by name."""
    width = max(map(len, CLAIMS))
    for name, claim in CLAIMS.items():
        console.out.print(f"{name:{width}}  {claim.says}", markup=False, highlight=False, soft_wrap=True)


def experiment(
    console: Console, name: str, data: str | None, seeds: int, quick: bool, limit: int | None, out: Path | None
) -> None:
    """Run one, print its effects and its verdict."""
    with Bars(console.progress) as bars:
        record, page = run(name, data, seeds=seeds, quick=quick, limit=limit, out=out, reporter=bars)
    lines = [f"{record.name}: {record.claim}"]
    lines += [f"  {e.what}: {shown(e.mean)} ({bounds(e)}), {e.verdict}" for e in record.seen.effects]
    lines += record.cautions
    for line in (*lines, f"{record.verdict}, on {record.data}", f"page: {page}"):
        console.out.print(line, markup=False, highlight=False, soft_wrap=True)
