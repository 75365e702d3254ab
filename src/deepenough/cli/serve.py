"""`deepenough serve`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import OneOf, engine_option
from deepenough.errors import DeepenoughError
from deepenough.reload_signal import EarlyReload
from deepenough.training.recipe import Device

_PACKAGES = ("captum", "fastapi", "pebble", "prometheus_client", "python_multipart", "uvicorn")


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    metavar="[NAME=]RUN...",
    help="Folders of runs, or of models that `weights get` wrote; the first answers where a request names no model.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on; 0.0.0.0 for every network.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="N",
    help="Port; 0 for any that is free.",
)
@click.option(
    "--device",
    type=OneOf(lambda: (str(each) for each in Device if each is not Device.AUTO)),
    default="cpu",
    help="Where to compute.",
)
@engine_option("the fastest that is installed and proven to give torch's answers, as measured at the start")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Processes that answer; each reads the models by itself, and the processor's cores are shared among them.",
)
@click.option("--max-upload", type=click.IntRange(min=1), default=20, metavar="MIB", help="Largest request.")
@click.option(
    "--max-files",
    type=click.IntRange(min=1),
    default=32,
    metavar="N",
    help="Most images per request.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Name by which clients call the service, beside addresses, localhost and --host; * for any.",
)
@click.option("--token", envvar="DEEPENOUGH_TOKEN", metavar="TEXT", help="Secret that clients send as a bearer token.")
@click.option("--certfile", type=click.Path(path_type=Path), metavar="FILE", help="Certificate, for HTTPS.")
@click.option("--keyfile", type=click.Path(path_type=Path), metavar="FILE", help="Its private key.")
@click.option("--log-format", type=OneOf(lambda: ("text", "json")), default="text", help="Form of the log's lines.")
@click.option(
    "--access-log/--no-access-log", default=True, help="Log every request, except those for health and metrics."
)
def serve_command(runs: tuple[str, ...], **options: Any) -> None:
    """Serve the models of runs over HTTP, with a page to try them."""
    with EarlyReload():  # until the server takes the signal; what is imported takes seconds, and has read no model yet
        _serve(runs, options)


def _serve(runs: tuple[str, ...], options: dict[str, Any]) -> None:
    """Import the server, and serve."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise DeepenoughError(f"serving needs {', '.join(missing)}: pip install 'deepenough[serve]'")
    from deepenough.cli.console import Console
    from deepenough.serve.models import named_runs
    from deepenough.serve.server import HANGING, ServerOptions, end_within, serve
    from deepenough.serve.workers import serve_by_workers

    if options["token"] is None:  # click takes an empty variable for none
        options["token"] = os.environ.get("DEEPENOUGH_TOKEN")
    try:
        answer = serve_by_workers if options["workers"] > 1 else serve
        answer(named_runs(runs), ServerOptions(**options), Console().line)
    finally:
        end_within(HANGING)  # at its exit Python waits for threads
