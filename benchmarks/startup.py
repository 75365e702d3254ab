"""How long `deepenough --help` takes: the median wall time of ten runs; the aim is under 0.3 s.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 10
AIM = 0.3  # seconds


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    """Print the times; the exit status says whether the aim is met."""
    installed = Path(sys.executable).with_name("deepenough")
    command = [str(installed)] if installed.exists() else [sys.executable, "-m", "deepenough"]
    seconds([*command, "--help"])  # compiles what is not compiled yet
    times = [seconds([*command, "--help"]) for _ in range(RUNS)]
    median = statistics.median(times)
    print(
        f"deepenough --help: median {median:.3f} s of {RUNS} runs ({min(times):.3f} to {max(times):.3f}); aim {AIM} s"
    )
    return 0 if median < AIM else 1


if __name__ == "__main__":
    sys.exit(main())
