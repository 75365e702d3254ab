"""`deepenough serve`: the service in a terminal."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError

if TYPE_CHECKING:
    from deepenough.cli.console import Console

NEEDS = ("captum", "fastapi", "prometheus_client", "python_multipart", "uvicorn")
BACKLOG = 1024  # clients that wait to be connected
LAST_ANSWERS = 30  # seconds that requests have to end once the service is asked to


def run(console: Console, folder: Path, host: str, port: int, device: str, upload: int, files: int) -> None:
    """Serve until SIGINT or SIGTERM; what was accepted until then is answered."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise DeepenoughError(f"serving needs {', '.join(missing)}: pip install 'deepenough[serve]'")
    import uvicorn

    from deepenough.serve.app import make_app
    from deepenough.serve.limits import Limits

    app = make_app(folder, Limits(upload=upload * 2**20, files=files), device)
    listening = listen(host, port)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    line = f"serving {folder} at http://{shown}:{port} (Ctrl-C ends)"
    console.out.print(line, markup=False, highlight=False, soft_wrap=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=LAST_ANSWERS)
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket at that address; 0 takes any port that is free."""
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
