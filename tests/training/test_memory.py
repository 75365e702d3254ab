"""How much memory a process may take: what the machine has free and what control groups leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepenough.training.memory import available_memory

GB = 10**9
MACHINE = {"proc/meminfo": f"MemTotal: {64 * GB // 1000} kB\nMemAvailable: {50 * GB // 1024} kB\n"}
ROOT = "sys/fs/cgroup"


def group(folder: str, limit: object, used: int, cached: int = 0) -> dict[str, str]:
    """The files of a control group of version 2."""
    stat = f"anon 7\ninactive_file {cached}\nactive_file {cached // 2}\nslab 9\n"
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": stat,
    }


def old_group(folder: str, limit: int, used: int, cached: int = 0) -> dict[str, str]:
    """The files of a control group of version 1, whose bare names count without the groups within."""
    stat = f"inactive_file 5\nactive_file 5\ntotal_inactive_file {cached}\ntotal_active_file {cached // 2}\n"
    return {
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.usage_in_bytes": f"{used}\n",
        f"{folder}/memory.stat": stat,
    }


JOB, OLD_JOB = (
    {"proc/self/cgroup": line}
    for line in ("0::/slurm/job:7\n", "9:name=systemd:/x\n4:pids,memory:/slurm/job:7\n0::/\n")
)
OLD = f"{ROOT}/memory"
UNLIMITED = 9223372036854771712  # as version 1 writes it


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 50 * GB),
        (group(ROOT, 8 * GB, 3 * GB), 5 * GB),
        (group(ROOT, 8 * GB, 9 * GB), 0),
        (group(ROOT, 80 * GB, 3 * GB), 50 * GB),
        (group(ROOT, "max", 3 * GB), 50 * GB),
        (group(ROOT, 8 * GB, 8 * GB, cached=4 * GB), 6 * GB),
        (group(ROOT, 8 * GB, 1 * GB, cached=4 * GB), 8 * GB),  # counted at different moments
        (JOB | group(f"{ROOT}/slurm/job:7", 4 * GB, 3 * GB, cached=GB), 5 * GB // 2),
        (JOB | group(f"{ROOT}/slurm/job:7", "max", GB) | group(f"{ROOT}/slurm", 8 * GB, 6 * GB), 2 * GB),
        (JOB | group(f"{ROOT}/slurm/job:7", 4 * GB, GB) | group(ROOT, 8 * GB, 7 * GB), GB),
        (JOB | group(ROOT, 8 * GB, 3 * GB), 5 * GB),  # a container that doesn't see its own path
        (group(f"{ROOT}/slurm/job:7", 4 * GB, 3 * GB), 50 * GB),  # somebody else's
        (old_group(OLD, UNLIMITED, 3 * GB), 50 * GB),
        (old_group(OLD, 8 * GB, 8 * GB, cached=4 * GB), 6 * GB),
        (OLD_JOB | old_group(f"{OLD}/slurm/job:7", 4 * GB, 3 * GB, cached=GB), 5 * GB // 2),
        (OLD_JOB | old_group(f"{OLD}/slurm/job:7", UNLIMITED, GB) | old_group(f"{OLD}/slurm", 8 * GB, 6 * GB), 2 * GB),
        (OLD_JOB | old_group(f"{OLD}/slurm/job:7", 4 * GB, GB) | old_group(OLD, 8 * GB, 7 * GB), GB),
    ],
)
def test_memory_is_what_every_limit_leaves(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, content in (MACHINE | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_memory(tmp_path) == pytest.approx(expected, abs=1024)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_memory(tmp_path) == pytest.approx(expected / 4, abs=1024)


def test_memory_is_unknown_where_nothing_tells(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
