"""The exit statuses of the commands."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The end of a command. Mistakes of the user's and errors of the machine end with 2, Ctrl-C with 130."""

    DONE = 0  # of `fit` with whatever kind of answer but an unmet target; `decision.kind` of the record says which
    FAILED = 1  # some images could not be read, or a check found a difference
    TARGET_NOT_MET = 3
