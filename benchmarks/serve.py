"""Requests a second and waiting times of `deepenough serve`, against the same model in a plain FastAPI handler.

    python benchmarks/serve.py RUN IMAGE|FOLDER... [--clients 1 8 64] [--engines auto torch] [--litserve] [--seconds 5]
        [--rounds 3]

The plain handler is what one writes first: it reads the body, decodes, predicts by torch and answers, one request at a
time. `--litserve` adds the same model behind LitServe (`litserve_handler.py`), where that is installed. All services
are processes of their own with the same threads, and take turns; clients are connections that ask again as soon as they
are answered, each with images of its own, and with the same image as soon as they are refused (503). Every answer is
compared with torch's: one that is lost or belongs to another image ends the benchmark. `processor` is what a service
needs for an answer with all of its processes, which other work on the machine changes less than times.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
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


HEADINGS = ("clients", "service", "answers/s", "times plain", "p50", "p99", "refused", "processor")
PLAINLY, LITSERVE = "plain handler", "LitServe"
Asked = tuple[bytes, str, float]  # a request, with the label and probability that it has to get


def processor_seconds(session: int) -> float:
    """Processor time that the processes of a session have used, where Linux tells; else NaN."""
    if not Path("/proc/self/stat").exists():
        return float("nan")
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += (int(fields[11]) + int(fields[12])) * (int(fields[3]) == session)
    return ticks / os.sysconf("SC_CLK_TCK")


def predicted_images(run: str, given: list[str]) -> list[tuple[bytes, str, float]]:
    """At most 200 images as the bytes of their files, each with the label and probability that it has to get."""
    paths = [path for path, _ in itertools.islice(files(given, PassedOver()), 200)]
    best = load(run).predict(paths)
    return [(path.read_bytes(), b.label, b.confidence) for path, b in zip(paths, best, strict=True)]


def start(command: list[str]) -> tuple[subprocess.Popen[str], int]:
    """A service in a session of its own, and its port."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if " at http://" in line:
            return process, int(line.rpartition(" at ")[2].split()[0].rsplit(":", 1)[1])
    raise SystemExit(f"{' '.join(command)} has ended")


def stop(process: subprocess.Popen[str]) -> None:
    """End a service; whatever it leaves of its session is killed."""
    process.terminate()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def request_for(content: bytes, as_json: bool) -> bytes:
    """The request for an image: its file as it is, or in base64 as JSON."""
    body = json.dumps({"image": base64.b64encode(content).decode()}).encode() if as_json else content
    kind = "application/json" if as_json else "image/jpeg"
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Load:
    """Seconds that each answer took, the number of refusals, and when it began and the last answer came."""

    began: float
    times: list[float] = field(default_factory=list)
    refused: int = 0
    last: float = 0.0

    @property
    def seconds(self) -> float:
        return self.last - self.began


async def answered(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The answer that comes, or None where the service refuses."""
    told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    answer = json.loads(await reader.readexactly(int(told.split("content-length:")[1].split("\r\n")[0])))
    status = told.split("\r\n")[0]
    if " 503 " in status:
        return None
    if " 200 " not in status:
        raise SystemExit(f"an answer of another kind: {told} {answer}")
    return dict(answer)


async def client(port: int, asked: Iterable[Asked], until: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request, label, probability in asked:
        answer = None
        while answer is None and (began := time.perf_counter()) < until:
            writer.write(request)
            answer = await answered(reader)
            load.refused += answer is None
        if answer is None:
            break
        load.last = time.perf_counter()
        load.times.append(load.last - began)
        (found,) = answer["predictions"]
        if found["label"] != label or abs(found["probabilities"][0] - probability) > 1e-4:
            raise SystemExit(f"another image's answer: {found}, not {label} {probability}")
    writer.close()


async def load_of(port: int, clients: int, images: list[Asked], seconds: float) -> Load:
    load = Load(time.perf_counter())
    until = load.began + seconds
    asked = [
        itertools.cycle(images[number % len(images) :] + images[: number % len(images)]) for number in range(clients)
    ]
    await asyncio.gather(*(client(port, each, until, load) for each in asked))
    return load


def started(given: argparse.Namespace) -> dict[str, tuple[subprocess.Popen[str], int]]:
    """Every service, with its port."""
    serve = [sys.executable, "-m", "deepenough", "serve", given.run, "--port", "0", "--engine"]
    services = {f"serve --engine {engine}": start([*serve, engine]) for engine in given.engines}
    services[PLAINLY] = start([sys.executable, "-c", PLAIN, given.run])
    if given.litserve:
        services[LITSERVE] = start([sys.executable, str(Path(__file__).parent / "litserve_handler.py"), given.run])
    return services


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[AUTO, TORCH])
    parser.add_argument("--litserve", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    images = predicted_images(given.run, given.images)
    asked = {as_json: [(request_for(i, as_json), label, p) for i, label, p in images] for as_json in (False, True)}
    services = started(given)
    loads: dict[tuple[str, int], list[Load]] = {}
    used: dict[tuple[str, int], float] = dict.fromkeys(itertools.product(services, given.clients), 0.0)
    try:
        for turn in range(given.rounds + 1):
            for count in given.clients:
                for name, (process, port) in services.items():
                    before = processor_seconds(process.pid)
                    seconds = given.seconds if turn else 1.0
                    load = asyncio.run(load_of(port, count, asked[name == LITSERVE], seconds))
                    if turn:
                        used[name, count] += processor_seconds(process.pid) - before
                        loads.setdefault((name, count), []).append(load)
    finally:
        for process, _ in services.values():
            stop(process)
    answers = sum(len(load.times) for each in loads.values() for load in each)
    print(f"{answers:,} answers, none lost or wrong; load {os.getloadavg()[0]:.1f}")
    print(f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|", sep="\n")
    for count in given.clients:
        for name in services:
            print(row(name, count, loads, used[name, count]), flush=True)


def row(name: str, count: int, loads: dict[tuple[str, int], list[Load]], used: float) -> str:
    waits = [seconds for load in loads[name, count] for seconds in load.times]
    refused = sum(load.refused for load in loads[name, count])
    rate, plain = (
        statistics.median(len(load.times) / load.seconds for load in loads[each, count]) for each in (name, PLAINLY)
    )
    cuts = statistics.quantiles(waits, n=100)
    return (
        f"| {count} | {name} | {rate:.0f} | {rate / plain:.2f} | {1000 * cuts[49]:.1f} ms | {1000 * cuts[98]:.1f} ms "
        f"| {refused / (refused + len(waits)):.0%} | {1000 * used / len(waits):.2f} ms |"
    )


if __name__ == "__main__":
    main()
