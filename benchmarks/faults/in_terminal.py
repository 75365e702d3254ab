"""Run `deepenough` in a terminal of its own: `in_terminal.py WORDS`, started by the fork server.

TERMINAL names the terminal. The fork server's process leads a session without one, so the first that it opens becomes
its controlling terminal, and the kernel sends SIGHUP once the other end is closed.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    terminal = os.open(os.environ["TERMINAL"], os.O_RDWR)
    for number in range(3):
        os.dup2(terminal, number)
    os.close(terminal)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if not sys.stdout.isatty() or os.tcgetpgrp(0) != os.getpgrp():
        raise RuntimeError("this process does not control its terminal")
    from deepenough.__main__ import main

    sys.argv[0] = "deepenough"
    main()


if __name__ == "__main__":
    main()
