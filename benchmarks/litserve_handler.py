"""The model of a run behind LitServe, as its documentation serves images: JSON with the file in base64, in batches.

    python benchmarks/litserve_handler.py RUN

`benchmarks/serve.py --litserve` starts it, where litserve can be imported; it is no dependency of this project. A
worker process for every core decodes and predicts by torch, at most 16 images at once.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
import time
import urllib.request
from typing import Any

import litserve

from deepenough import load

BATCH, WAIT = 16, 0.005  # images at most, and the seconds that a batch waits to be full


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = load(sys.argv[1])

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, images: list[bytes]) -> list[Any]:
        return list(self.model.predict(images))

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        found = {"label": output.label, "classes": output.classes, "probabilities": output.probabilities}
        return {"predictions": [found]}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def tell_when_ready(port: int) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
        except OSError:
            time.sleep(0.2)
        else:
            print(f"serving at http://127.0.0.1:{port} now", flush=True)
            return


if __name__ == "__main__":
    port = free_port()
    threading.Thread(target=tell_when_ready, args=(port,), daemon=True).start()
    api = Classifier(max_batch_size=BATCH, batch_timeout=WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=os.cpu_count() or 1, timeout=False)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)
