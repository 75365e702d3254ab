"""`deepenough serve`."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path

import click

from deepenough.cli.options import run_argument
from deepenough.errors import DeepenoughError
from deepenough.training.recipe import Device

_PACKAGES = ("captum", "fastapi", "prometheus_client", "python_multipart", "uvicorn")
BACKLOG = 1024  # clients that wait to be connected
GRACE = 30  # seconds that requests have to end once the service is asked to


@click.command()
@run_argument
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
    type=click.Choice([str(each) for each in Device if each is not Device.AUTO]),
    default="cpu",
    help="Where to compute.",
)
@click.option("--max-upload", type=click.IntRange(min=1), default=20, metavar="MIB", help="Largest request.")
@click.option(
    "--max-files",
    type=click.IntRange(min=1),
    default=32,
    metavar="N",
    help="Most images per request.",
)
def serve_command(run: Path, host: str, port: int, device: str, max_upload: int, max_files: int) -> None:
    """Serve the model of a run over HTTP, with a page to try it."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise DeepenoughError(f"serving needs {', '.join(missing)}: pip install 'deepenough[serve]'")
    import uvicorn

    from deepenough.cli.console import Console
    from deepenough.serve.app import make_app
    from deepenough.serve.limits import Limits

    app = make_app(run, Limits(upload=max_upload * 2**20, files=max_files), device)
    listening = listen(host, port)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    # SIGINT and SIGTERM end it, once what was accepted until then is answered.
    Console().line(f"serving {run} at http://{shown}:{port} (Ctrl-C to stop)")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE)
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 takes any that is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)  # with TCP named asyncio sends answers at once
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        raise DeepenoughError(
            f"--host {host} --port {port}: can't listen there ({error.strerror or error}); give another --port, "
            "or 0 for any that is free"
        ) from None
