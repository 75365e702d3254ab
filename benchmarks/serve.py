"""Requests a second and waiting times of `deepenough serve`, against the same model in a plain FastAPI handler.

    python benchmarks/serve.py RUN IMAGE|FOLDER... [--clients 1 8 64] [--seconds 5] [--rounds 3]

The plain handler is what one writes first: it reads the body, decodes, predicts and answers, one request at a time.
Both services are processes of their own with the same threads; clients are connections that ask again as soon as they
are answered, each with images of its own. Every answer is compared with that of `deepenough predict`: one that is lost
or belongs to another image ends the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from deepenough import load
from deepenough.prediction import files

PLAIN = """
import sys
import uvicorn
from fastapi import FastAPI, Request
from deepenough import load
from deepenough.serve.server import listen

model, app = load(sys.argv[1]), FastAPI()

@app.post("/predict")
async def predict(request: Request):
    (best,) = model.predict(await request.body())
    return {"predictions": [{"label": best.label, "classes": best.classes, "probabilities": best.probabilities}]}

listening = listen("127.0.0.1", 0)
print(f"serving at http://127.0.0.1:{listening.getsockname()[1]} now", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])
"""


def start(command: list[str]) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline().rpartition(" at ")[2].split()[0].rsplit(":", 1)[1])


async def client(port: int, contents: Any, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for content, label, probability in contents:
        if time.perf_counter() > until:
            break
        began = time.perf_counter()
        head = (
            f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(told.split("content-length:")[1].split("\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        if " 200 " not in told.split("\r\n")[0]:
            raise SystemExit(f"an answer of another kind: {told} {answer}")
        (found,) = answer["predictions"]
        if found["label"] != label or abs(found["probabilities"][0] - probability) > 1e-4:
            raise SystemExit(f"another image's answer: {found}, not {label} {probability}")
        times.append(time.perf_counter() - began)
    writer.close()


async def load_of(port: int, clients: int, images: list[Any], seconds: float) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + seconds
    asked = [itertools.cycle(images[number:] + images[:number]) for number in range(clients)]
    await asyncio.gather(*(client(port, each, until, times) for each in asked))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    paths = list(itertools.islice(files(given.images), 200))
    best = load(given.run).predict(paths)
    images = [(path.read_bytes(), b.label, b.confidence) for path, b in zip(paths, best, strict=True)]
    services = {
        "deepenough serve": start([sys.executable, "-m", "deepenough", "serve", given.run, "--port", "0"]),
        "plain handler": start([sys.executable, "-c", PLAIN, given.run]),
    }
    rates: dict[tuple[str, int], list[float]] = {}
    waits: dict[tuple[str, int], list[float]] = {}
    try:
        for turn in range(given.rounds + 1):
            for count in given.clients:
                for name, (_, port) in services.items():
                    times = asyncio.run(load_of(port, count, images, given.seconds if turn else 1.0))
                    if turn:
                        rates.setdefault((name, count), []).append(len(times) / given.seconds)
                        waits.setdefault((name, count), []).extend(times)
    finally:
        for process, _ in services.values():
            process.terminate()
            process.wait()
    print("| clients | service | requests/s | p50 | p99 |\n|---|---|---|---|---|")
    for count in given.clients:
        for name in services:
            cuts = statistics.quantiles(waits[name, count], n=100)
            rate = statistics.median(rates[name, count])
            print(f"| {count} | {name} | {rate:.0f} | {1000 * cuts[49]:.1f} ms | {1000 * cuts[98]:.1f} ms |")
        ahead = statistics.median(rates["deepenough serve", count]) / statistics.median(rates["plain handler", count])
        print(f"| {count} | times the plain handler | {ahead:.2f} | | |", flush=True)


if __name__ == "__main__":
    main()
