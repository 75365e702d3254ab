"""A process ends with its own status, whatever its threads wait for: one inside torch's store would abort it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

# The process that leads keeps the store, and stops answering. The other fails, with its heartbeat inside the store, and
# the store goes while the interpreter finalizes: what `Last` does happens after all that Python does before.
GROUP = """
import os, signal, time
import torch
from deepenough.distribution import torchrun as processes
from deepenough.distribution.torchrun import HEARTBEAT_SECONDS, join_group

class Last:
    def __del__(self):
        os.kill(leader, signal.SIGKILL)
        time.sleep(1)

with join_group(torch.device("cpu")) as group:
    leader = group.broadcast_object(os.getpid())
    if group.is_leader:
        os.kill(leader, signal.SIGSTOP)
    processes.keep = Last()
    time.sleep(2 * HEARTBEAT_SECONDS)
    print("heard", end="")
    raise ValueError("a failure of its own")
"""

# A thread writes to a store for ever.
THREAD = """
import sys, threading
from torch.distributed import TCPStore
from deepenough import exit
exit.WAIT = 0.5
store = TCPStore("127.0.0.1", 0, 1, True, wait_for_workers=False)
entered = threading.Event()

def write():
    with exit.foreign_call():
        entered.set()
        while True:
            store.set("key", "value")

threading.Thread(target=write, daemon=True).start()
entered.wait()
print("told", end="")
"""

# A thread comes back while the process waits for it at its end, and wants to go in once more.
BACK = """
import atexit, sys, threading, time
from deepenough.exit import foreign_call

atexit.register(lambda: print("waited for", flush=True))
entered = threading.Event()

def work():
    with foreign_call():
        entered.set()
        time.sleep(0.5)
        print("back", flush=True)
    with foreign_call():
        print("in again", flush=True)

threading.Thread(target=work, daemon=True).start()
entered.wait()
sys.exit(3)
"""


def script(text: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text],
        env={**os.environ, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_heartbeat_that_is_inside_the_store_does_not_abort_its_process() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    leader, other = (script(GROUP, **given, RANK=rank, LOCAL_RANK=rank) for rank in "01")
    try:
        out, complaint = other.communicate(timeout=120)
    finally:
        for process in (leader, other):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
    assert (other.returncode, out) == (1, "heard"), complaint
    assert "ValueError: a failure of its own" in complaint
    assert "terminate called" not in complaint


@pytest.mark.parametrize(
    ("end", "status"),
    [("exit.leave(3)", 3), ("exit.leave(0)", 0), ("raise ValueError('mine')", 1), ("sys.exit(0)", 1)],
)
def test_what_was_told_is_told_and_the_status_is_kept(end: str, status: int) -> None:
    """What `sys.exit` was given can't be known; a thread that never comes back is no success."""
    process = script(THREAD + end)
    out, complaint = process.communicate(timeout=120)
    assert (process.returncode, out) == (status, "told"), complaint
    assert ("ValueError: mine" in complaint) == ("mine" in end)
    assert "terminate called" not in complaint


def test_a_call_that_comes_back_is_waited_for_and_none_begins_after_it() -> None:
    process = script(BACK)
    out, complaint = process.communicate(timeout=120)
    assert (process.returncode, out.splitlines(), complaint) == (3, ["waited for", "back"], "")


def test_an_interrupt_at_the_very_end_is_no_traceback() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import atexit, os, signal; from deepenough.exit import leave\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT)); leave(3)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
