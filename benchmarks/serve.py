"""Requests a second and waiting times of `deepenough serve`, against the same model in a plain FastAPI handler.

    python benchmarks/serve.py RUN IMAGE|FOLDER... [--clients 1 8 64] [--engines auto torch] [--seconds 5] [--rounds 3]

The plain handler is what one writes first: it reads the body, decodes, predicts by torch and answers, one request at a
time. All services are processes of their own with the same threads, and take turns; clients are connections that ask
again as soon as they are answered, each with images of its own. Every answer is compared with torch's: one that is lost
or belongs to another image ends the benchmark. `processor` is what a service needs for an answer, which other work on
the machine changes less than times; what its decoding processes need is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deepenough import load
from deepenough.data.finding import PassedOver
from deepenough.engines import AUTO, ENGINES, TORCH
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


PLAINLY = "plain handler"


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used, where Linux tells; else NaN."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def predicted_images(run: str, given: list[str]) -> list[tuple[bytes, str, float]]:
    """At most 200 images as the bytes of their files, each with the label and probability that it has to get."""
    paths = [path for path, _ in itertools.islice(files(given, PassedOver()), 200)]
    best = load(run).predict(paths)
    return [(path.read_bytes(), b.label, b.confidence) for path, b in zip(paths, best, strict=True)]


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
            "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
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


async def load_of(port: int, clients: int, images: list[Any], seconds: float) -> tuple[list[float], float]:
    """The seconds that each answer took, and those until the last came."""
    times: list[float] = []
    began = time.perf_counter()
    until = time.perf_counter() + seconds
    asked = [itertools.cycle(images[number:] + images[:number]) for number in range(clients)]
    await asyncio.gather(*(client(port, each, until, times) for each in asked))
    return times, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[AUTO, TORCH])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    images = predicted_images(given.run, given.images)
    serve = [sys.executable, "-m", "deepenough", "serve", given.run, "--port", "0", "--engine"]
    services = {f"serve --engine {engine}": start([*serve, engine]) for engine in given.engines}
    services[PLAINLY] = start([sys.executable, "-c", PLAIN, given.run])
    rates: dict[tuple[str, int], list[float]] = {}
    waits: dict[tuple[str, int], list[float]] = {}
    used: dict[tuple[str, int], float] = dict.fromkeys(itertools.product(services, given.clients), 0.0)
    try:
        for turn in range(given.rounds + 1):
            for count in given.clients:
                for name, (process, port) in services.items():
                    before = processor_seconds(process.pid)
                    times, passed = asyncio.run(load_of(port, count, images, given.seconds if turn else 1.0))
                    if turn:
                        used[name, count] += processor_seconds(process.pid) - before
                        rates.setdefault((name, count), []).append(len(times) / passed)
                        waits.setdefault((name, count), []).extend(times)
    finally:
        for process, _ in services.values():
            process.terminate()
            process.wait()
    print(f"{sum(map(len, waits.values())):,} answers, none lost or wrong; load {os.getloadavg()[0]:.1f}")
    print("| clients | service | requests/s | times plain | p50 | p99 | processor |\n|---|---|---|---|---|---|---|")
    for count in given.clients:
        for name in services:
            cuts = statistics.quantiles(waits[name, count], n=100)
            rate = statistics.median(rates[name, count])
            ahead = rate / statistics.median(rates[PLAINLY, count])
            spent = 1000 * used[name, count] / len(waits[name, count])
            print(
                f"| {count} | {name} | {rate:.0f} | {ahead:.2f} | {1000 * cuts[49]:.1f} ms | {1000 * cuts[98]:.1f} ms "
                f"| {spent:.2f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
