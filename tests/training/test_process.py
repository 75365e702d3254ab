"""What touches the whole process: signals and the memory of glibc."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from deepenough.training.interrupt import Stop
from deepenough.training.memory import keep_freed_memory

FAULTS = """
import json, resource
from deepenough.training.memory import keep_freed_memory
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(4_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
done = keep_freed_memory()
np.ones(4_000_000)
print(json.dumps([before, done, faults()]))
"""

KEPT = """
import json, os
from pathlib import Path
from deepenough.training.memory import available_memory, keep_freed_memory
import numpy as np
def resident():
    return os.sysconf("SC_PAGE_SIZE") * int(Path("/proc/self/statm").read_text().split()[1])
keep_freed_memory()
taken = resident()
np.ones(50_000_000)
kept = resident()
available_memory()
print(json.dumps([taken, kept, resident()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_used_again_once_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, worked, after = json.loads(done.stdout)
    assert worked
    assert after < before / 5


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_what_is_kept_counts_as_memory_that_there_is() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    taken, kept, after = json.loads(done.stdout)
    assert kept - taken > 350 * 2**20
    assert after - taken < 50 * 2**20


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_handled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_flag_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("_handled")
def test_a_second_ctrl_c_ends_at_once() -> None:
    with Stop() as stop, pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the first must not raise
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)
