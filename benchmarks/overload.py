"""Answers a second of `deepenough serve` when more clients ask than it can answer.

    python benchmarks/overload.py RUN IMAGE|FOLDER... [--clients 64 256 600 2000] [--seconds 10] [--rounds 3]

Clients are connections that ask again as soon as they have their answer or their refusal, which is worse than what
`Retry-After` asks of them (`--polite` has them wait as they are told). They share the processors with the service, and
every answer is compared with that of `deepenough predict`. Times are those of requests that were answered, from their
sending. A row has all its loads within one process of the service, alternating; the share is that of the best load.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serve import predicted_images

SETTLING = 5.0  # seconds from the last connection to the first request that counts


@dataclass
class Seen:
    """What the clients of one load saw: seconds of each answer, and how often each other status came."""

    since: float
    until: float
    times: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    cpu: float = 0.0  # seconds of the service's processor time

    def counts(self) -> bool:
        return self.since <= time.perf_counter() < self.until


class Client(asyncio.Protocol):
    """A connection that asks about one image after another until the time is over, as cheaply as asyncio can."""

    def __init__(self, images: Any, seen: Seen, polite: bool) -> None:
        self.images, self.seen, self.polite = images, seen, polite
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if time.perf_counter() > self.seen.until:
            self.transport.close()
            return
        content, self.label, self.probability = next(self.images)
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(content)}"
        self.began = time.perf_counter()
        self.transport.write(head.encode() + b"\r\n\r\n" + content)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        told = head.decode().lower()
        if len(body) < int(told.partition("content-length: ")[2].partition("\r\n")[0]):
            return
        self.received = b""
        status = int(told.split()[1])
        wait = 0.0
        if status == 200:
            self.check(json.loads(body))
        else:
            self.seen.refused[status] += self.seen.counts()
            wait = float(told.partition("retry-after: ")[2].partition("\r\n")[0] or 0) if self.polite else 0.0
        if wait:
            asyncio.get_running_loop().call_later(wait, self.ask)
        else:
            self.ask()

    def check(self, answer: Any) -> None:
        (found,) = answer["predictions"]
        if found["label"] != self.label or abs(found["probabilities"][0] - self.probability) > 1e-4:
            raise SystemExit(f"another image's answer: {found}, not {self.label} {self.probability}")
        if self.seen.counts():
            self.seen.times.append(time.perf_counter() - self.began)

    def connection_lost(self, error: Exception | None) -> None:
        if self.seen.counts():
            self.seen.lost += 1
        self.done.set_result(None)


async def load_of(process: Any, clients: int, images: list[Any], seconds: float, polite: bool) -> Seen:
    """Have so many clients ask for so many seconds, once they have all connected and asked for a while."""
    seen = Seen(math.inf, math.inf)
    loop = asyncio.get_running_loop()
    connected: list[Client] = []
    for number in range(clients):
        asked = itertools.cycle(images[number % len(images) :] + images[: number % len(images)])
        made = functools.partial(Client, asked, seen, polite)
        connected.append((await loop.create_connection(made, "127.0.0.1", process.port))[1])
    await asyncio.sleep(SETTLING)
    seen.since = time.perf_counter()
    seen.until = seen.since + seconds
    began = process.cpu()
    await asyncio.sleep(seconds)
    seen.cpu = process.cpu() - began
    await asyncio.gather(*(client.done for client in connected))
    return seen


class Service:
    """`deepenough serve` in a process of its own."""

    def __init__(self, run: str) -> None:
        command = [sys.executable, "-m", "deepenough", "serve", run, "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(" at ")[2].split()[0].rsplit(":", 1)[1])

    def cpu(self) -> float:
        """Seconds of processor time until now; 0 where the system does not tell."""
        told = Path(f"/proc/{self.process.pid}/stat")
        ticks = told.read_text().rpartition(")")[2].split()[11:13] if told.exists() else ()
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") if ticks else 0.0

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 256, 600, 2000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--polite", action="store_true", help="clients wait for as long as Retry-After says")
    given = parser.parse_args()
    images = predicted_images(given.run, given.images)
    service, found = Service(given.run), dict[int, list[Seen]]()
    try:
        for _ in range(given.rounds):
            for count in given.clients:
                seen = asyncio.run(load_of(service, count, images, given.seconds, given.polite))
                found.setdefault(count, []).append(seen)
    finally:
        service.end()
    rates = {count: statistics.median(len(s.times) / given.seconds for s in each) for count, each in found.items()}
    print(
        "| clients | answers/s | of the best | refusals/s | p50 | p99 | lost | CPU/answer |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for count, each in found.items():
        cpu = sum(s.cpu for s in each) / max(sum(len(s.times) for s in each), 1)
        times = [*itertools.chain.from_iterable(s.times for s in each)]
        cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [math.nan] * 99
        refused = sum(s.refused.total() for s in each) / given.seconds / len(each)
        print(
            f"| {count} | {rates[count]:.0f} | {rates[count] / max(rates.values()):.0%} | {refused:.0f} "
            f"| {1000 * cuts[49]:.0f} ms | {1000 * cuts[98]:.0f} ms | {sum(s.lost for s in each)} "
            f"| {1000 * cpu:.2f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
