"""`python -m deepenough` and the `deepenough` command: errors of the user's become one line and a status."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deepenough.cli.app import cli
from deepenough.errors import DeepenoughError
from deepenough.exit import leave
from deepenough.full_disk import full_disk, written_on_command_line


def main() -> None:
    """Run the command line."""
    try:
        status = cli.main(prog_name="deepenough", standalone_mode=False)
    except DeepenoughError as error:
        click.echo(f"deepenough: {error}", err=True)
        status = error.exit_status
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("deepenough: stopped", err=True)
        status = 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone, as with `| head`
        status = 0
    except OSError as error:  # no room, no permission, a folder that is not there
        where = f"{error.filename}: " if error.filename else ""
        full = full_disk(error, *written_on_command_line(sys.argv[1:]), Path())
        click.echo(
            f"deepenough: {f'{full}; make room there' if full else f'{where}{error.strerror or error}'}", err=True
        )
        status = 2
    leave(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
