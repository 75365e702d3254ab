"""`python -m deepenough` and the `deepenough` command: errors of the user's become one line and a status."""

from __future__ import annotations

import sys
import warnings

from deepenough.ctrl_c import end_quietly, stop_quietly, stopping
from deepenough.exit import leave
from deepenough.plain_output import escape_what_cannot_be_shown
from deepenough.process_start import command_starts

_plain_warning = warnings.formatwarning


def main() -> None:
    """Run the command line as a process of its own."""
    stop_quietly()
    command_starts()
    escape_what_cannot_be_shown()
    warnings.formatwarning = _warning
    status = run()
    end_quietly()
    leave(status)


def run() -> int:
    """Run the command line; the exit status."""
    try:
        return _run()
    except BaseException as error:  # an import that was cut off, or a second Ctrl-C
        if not stopping() and not isinstance(error, KeyboardInterrupt):
            raise
        return _say("stopped", 130)


def _run() -> int:
    from pathlib import Path

    import click

    from deepenough.cli.app import cli
    from deepenough.errors import DeepenoughError
    from deepenough.full_disk import full_disk, written_on_command_line

    try:
        status = cli.main(prog_name="deepenough", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except DeepenoughError as error:
        return _say(str(error), error.exit_status)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # click's word for Ctrl-C
        return _say("stopped", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone, as with `| head`
        return 0
    except OSError as error:  # no room, no permission, a folder that is not there
        where = f"{error.filename}: " if error.filename else ""
        full = full_disk(error, *written_on_command_line(sys.argv[1:]), Path())
        return _say(f"{full}; make room there" if full else f"{where}{error.strerror or error}", 2)


def _say(text: str, status: int) -> int:
    """Print a line to stderr; the exit status."""
    sys.stderr.write(f"deepenough: {text}\n")
    sys.stderr.flush()
    return status


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as it is printed: where in the code it comes from is of use only where the code may be at fault."""
    from deepenough.errors import DamageWarning, ProcessEndedWarning

    if issubclass(category, DamageWarning | ProcessEndedWarning):
        return f"deepenough: {message}\n"
    return _plain_warning(message, category, filename, lineno, line)


if __name__ == "__main__":
    main()
