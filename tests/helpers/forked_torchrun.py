"""torchrun, whose processes are forks of this one as it was at its start; started by a fork server.

Where the environment has a HOST, all of them are in the network namespace of that name.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler as handler
from forkserver import Forked, ForkServer


def enter(host: str) -> None:
    """Be in the network namespace that `ip netns` gave this name."""
    with Path("/var/run/netns", host).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if "HOST" in os.environ:
    enter(os.environ["HOST"])
server = ForkServer.of_this_process()


def start(args: tuple[str, ...], env: dict[str, str], **more: Any) -> Forked:
    """Start `python -u ARGS`, in a session of its own, as torchrun wants it."""
    _python, unbuffered, *rest = args
    assert unbuffered == "-u"
    assert more == {"stdout": None, "stderr": None, "start_new_session": True}
    return server.popen(rest, env=env)


if __name__ == "__main__":
    import torch.distributed.run as torchrun

    handler.Popen = start  # type: ignore[assignment, misc]
    torchrun.main()
