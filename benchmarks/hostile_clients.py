"""Do the other clients of `deepenough serve` wait for what a hostile one sends?

    python benchmarks/hostile_clients.py RUN IMAGE|FOLDER... [--clients 8] [--seconds 10] [--rounds 3]

Ordinary clients ask again as soon as they are answered. Beside them, one attack at a time: two clients that send a
picture which asks for far more work than its bytes tell, again and again, or 300 connections that send half a head and
wait. A row has the ordinary clients' rate and their 50th and 99th percentile, and the answers that the attack got, by
their status. Every answer to an ordinary client is compared with that of `deepenough predict`; one that is lost or
wrong ends the benchmark. Attacks take turns with a quiet time in one process of the service. The clients share the
processors with it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import statistics
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from serve import load_of, predicted_images, start

QUIET = "none"
SENDERS = 2
HALF_HEADS = 300
HALF_HEAD = "300 half heads"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(side: int, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (side, side), 128 if mode != "RGB" else (128, 128, 128))


def scans(count: int) -> bytes:
    """A progressive JPEG of 7000x7000 whose last scan is repeated."""
    whole = encoded(grey(7000), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def chunks(count: int) -> bytes:
    """A PNG with as many chunks of text."""
    data = b"a\0"
    text = struct.pack(">I", len(data)) + b"tEXt" + data + struct.pack(">I", zlib.crc32(b"tEXt" + data))
    whole = encoded(grey(64), "PNG")
    place = whole.index(b"IDAT") - 4
    return whole[:place] + text * count + whole[place:]


def frames(count: int) -> bytes:
    """A GIF whose last frame is repeated."""
    whole = encoded(grey(64, "L").quantize(2), "GIF", save_all=True, append_images=[grey(64, "L").quantize(2)])
    frame = whole[whole.rindex(b"\x2c") : -1]
    return whole[:-1] + frame * count + whole[-1:]


def sixteen_bits() -> bytes:
    """A PNG of 16 bits whose pixels are 1,000 times its bytes."""
    return encoded(Image.fromarray(np.zeros((7_000, 7_000), np.uint16)), "PNG")


def damaged() -> bytes:
    """Half of a large JPEG."""
    whole = encoded(grey(2_000), "JPEG")
    return whole[: len(whole) // 2]


ATTACKS: Mapping[str, Callable[[], bytes]] = {
    "JPEG, 7000x7000, 5,000 empty scans": lambda: scans(5_000),
    "PNG, 1.2 million chunks": lambda: chunks(1_200_000),
    "GIF, 100,000 frames": lambda: frames(100_000),
    "JPEG 2000, 50 megapixels": lambda: encoded(grey(7_000), "JPEG2000"),
    "PNG, 49 megapixels of 16 bits": sixteen_bits,
    "JPEG, 49 megapixels": lambda: encoded(grey(7_000), "JPEG"),
    "JPEG, 4 megapixels, damaged": damaged,
    "PNG, 150,000x8": lambda: encoded(Image.new("L", (150_000, 8)), "PNG"),
}


async def send(port: int, content: bytes, answered: Counter[str]) -> None:
    """Send a picture again and again, each over a connection of its own."""
    head = (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nConnection: close\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + content)
            told = (await reader.readuntil(b"\r\n")).decode()
            answered[told.split()[1]] += 1
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            answered["cut off"] += 1
        finally:
            writer.close()


async def half_head(port: int, answered: Counter[str]) -> None:
    """Begin a head and wait for what comes, again and again."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /predict HTTP/1.1\r\nHost: loc")
            told = (await reader.read(64)).decode().split()
            answered[told[1] if len(told) > 1 else "cut off"] += 1
            writer.close()
        except ConnectionError:
            answered["cut off"] += 1


async def beside(
    port: int, attack: list[Callable[[Counter[str]], object]], clients: int, images: list[tuple], seconds: float
) -> tuple[list[float], float, Counter[str]]:
    """The waiting times of ordinary clients beside an attack, the seconds they took, and what the attack was told."""
    answered: Counter[str] = Counter()
    attackers = [asyncio.ensure_future(each(answered)) for each in attack]  # type: ignore[arg-type]
    await asyncio.sleep(0.5 if attack else 0)
    times, passed = await load_of(port, clients, images, seconds)
    for each in attackers:
        each.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    return times, passed, answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    images = predicted_images(given.run, given.images)
    contents = {name: make() for name, make in ATTACKS.items()}
    process, port = start([sys.executable, "-m", "deepenough", "serve", given.run, "--port", "0", "--no-access-log"])
    attacks: dict[str, list[Callable[[Counter[str]], object]]] = {QUIET: []}
    for name, content in contents.items():
        attacks[name] = [lambda told, content=content: send(port, content, told)] * SENDERS
    attacks[HALF_HEAD] = [lambda told: half_head(port, told)] * HALF_HEADS
    waits: dict[str, list[float]] = {name: [] for name in attacks}
    rates: dict[str, list[float]] = {name: [] for name in attacks}
    told: dict[str, Counter[str]] = {name: Counter() for name in attacks}
    try:
        for turn in range(given.rounds + 1):
            for name, attack in attacks.items():
                seconds = given.seconds if turn else 1.0
                times, passed, answered = asyncio.run(beside(port, attack, given.clients, images, seconds))
                if turn:
                    waits[name] += times
                    rates[name].append(len(times) / passed)
                    told[name] += answered
    finally:
        process.terminate()
        process.wait()
    print(f"{sum(map(len, waits.values())):,} answers, none lost or wrong; load {os.getloadavg()[0]:.1f}")
    print("| beside | bytes | answers/s | p50 | p99 | longest | the attack was told |\n|---|---|---|---|---|---|---|")
    for name in attacks:
        cuts = statistics.quantiles(waits[name], n=100)
        size = f"{len(contents[name]) / 1000:,.0f} KB" if name in contents else ""
        told_all = ", ".join(f"{count:,} x {status}" for status, count in told[name].most_common())
        print(
            f"| {name} | {size} | {statistics.median(rates[name]):.0f} | {1000 * cuts[49]:.0f} ms | "
            f"{1000 * cuts[98]:.0f} ms | {1000 * max(waits[name]):.0f} ms | {told_all} |"
        )


if __name__ == "__main__":
    main()
