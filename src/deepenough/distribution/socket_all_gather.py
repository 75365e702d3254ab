"""Plain sockets between the processes of a group, for the small exchanges of batch norms.

A batch norm waits for its exchange twice a step. gloo takes 0.4 to 1.7 ms for one between two processes of a machine,
which made a residual net of depth 19 at 32x32 a third slower; two sockets take 0.03 to 0.15 ms.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch


class Talks(Protocol):
    """The part of a group that the sockets are connected with."""

    rank: int
    size: int

    def broadcast_object(self, value: Any) -> Any: ...
    def all_gather_object(self, mine: str) -> list[str]: ...


MOST = 2**16  # bytes of an exchange: what a socket takes without waiting for the other side to read
MESH = 16  # processes that are all connected with one another
# Seconds to look for an answer without going to sleep: a core that slept is slow for a while. Windows has no readv.
AWAKE = 0.002 if hasattr(os, "readv") else 0.0
CALL = 10.0  # seconds to wait for another process' call


class SocketAllGather:
    """One socket to every other process: `sockets[rank]`, None for this one."""

    def __init__(self, sockets: list[socket.socket | None]) -> None:
        self.sockets = sockets

    def carries(self, tensor: torch.Tensor) -> bool:
        """True if a tensor is small enough, and not empty."""
        return tensor.device.type == "cpu" and 0 < tensor.numel() * tensor.element_size() <= MOST

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensors of all processes, stacked: (size, ...). Raises OSError where one is gone."""
        found = torch.empty(len(self.sockets), *tensor.shape, dtype=tensor.dtype)
        mine = tensor.detach().contiguous().numpy().data.cast("B")
        for wire in self.sockets:
            if wire:
                wire.sendall(mine)
        for wire, row in zip(self.sockets, found, strict=True):
            if wire:
                _read(wire, row.numpy().data.cast("B"))
            else:
                row.copy_(tensor)
        return found

    def close(self) -> None:
        for wire in self.sockets:
            if wire:
                wire.close()


@contextmanager
def wired(group: Talks, timeout: float) -> Iterator[SocketAllGather | None]:
    """SocketAllGather between all processes of a group; None for all where some can't call one another directly."""
    wires = lay(group, timeout) if group.size <= MESH else None
    try:
        yield wires
    finally:
        if wires:
            wires.close()


def lay(group: Talks, timeout: float) -> SocketAllGather | None:
    """Each process calls those of lower rank. `timeout` is the seconds that a wire may stay silent later."""
    sockets: list[socket.socket | None] = [None] * group.size
    word = bytes.fromhex(group.broadcast_object(secrets.token_hex(16)))
    with socket.create_server(("", 0), backlog=group.size) as server:
        server.settimeout(CALL)
        addresses = [
            tuple(text.split("|")) for text in group.all_gather_object(f"{own_address()}|{server.getsockname()[1]}")
        ]
        try:
            for rank in range(group.rank):
                host, port = addresses[rank]
                sockets[rank] = wire = socket.create_connection((host, int(port)), CALL)
                wire.sendall(word + bytes([group.rank]))
            while None in sockets[group.rank + 1 :]:
                wire, _ = server.accept()
                wire.settimeout(CALL)
                said = bytearray(len(word) + 1)
                _read(wire, memoryview(said))
                if said[:-1] == word:  # else a stranger's call
                    sockets[said[-1]] = wire
            there = True
        except OSError:
            there = False
    made = SocketAllGather(sockets)
    if "no" in group.all_gather_object("yes" if there else "no"):
        made.close()
        return None
    for laid in sockets:
        if laid:
            laid.settimeout(timeout)
            laid.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            laid.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST)
    return made


def own_address() -> str:
    """This machine's address on the way to the first process."""
    master = os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "1"))
    with suppress(OSError):
        family, *_, to = socket.getaddrinfo(*master, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect(to)  # sends nothing
            return str(asked.getsockname()[0])
    return socket.gethostname()


def _read(wire: socket.socket, into: Any) -> None:
    until = time.perf_counter() + AWAKE
    while len(into):
        try:
            count = os.readv(wire.fileno(), [into]) if time.perf_counter() < until else wire.recv_into(into)
        except BlockingIOError:  # nothing there yet; a socket with a timeout never blocks by itself
            continue
        if not count:
            raise ConnectionError("the connection was closed")
        into = into[count:]
