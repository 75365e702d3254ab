"""Plain sockets between the processes of a group, for the small exchanges of batch norms.

A batch norm waits for its exchange twice a step. gloo takes 0.5 to 0.9 ms for one between two processes of a machine,
two sockets 0.1 ms: a residual network of depth 19 at 32x32, with 36 exchanges a step, is a third slower with gloo.
benchmarks/LOG.md has the figures.
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


class ObjectGroup(Protocol):
    """The part of a group that the sockets are connected with."""

    rank: int
    size: int

    def broadcast_object(self, value: Any) -> Any: ...
    def all_gather_object(self, mine: str) -> list[str]: ...


LARGEST_MESSAGE = 2**16  # bytes of an exchange: what a socket takes without waiting for the other side to read
MOST_PROCESSES = 16  # processes that are all connected with one another
# Seconds to look for an answer without going to sleep: a core that slept is slow for a while. Others get it meanwhile.
SPIN_SECONDS = 0.002 if hasattr(os, "readv") and hasattr(os, "sched_yield") else 0.0  # not on Windows
CONNECT_SECONDS = 10.0  # seconds to wait for another process' call


class SocketAllGather:
    """One socket to every other process: `sockets[rank]`, None for this one."""

    def __init__(self, sockets: list[socket.socket | None]) -> None:
        self.sockets = sockets

    def carries(self, tensor: torch.Tensor) -> bool:
        """True if a tensor is small enough, and not empty."""
        return tensor.device.type == "cpu" and 0 < tensor.numel() * tensor.element_size() <= LARGEST_MESSAGE

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensors of all processes, stacked: (size, ...). Raises OSError where one is gone."""
        found = torch.empty(len(self.sockets), *tensor.shape, dtype=tensor.dtype)
        mine = tensor.detach().contiguous().numpy().data.cast("B")
        for peer in self.sockets:
            if peer:
                peer.sendall(mine)
        for peer, row in zip(self.sockets, found, strict=True):
            if peer:
                _read(peer, row.numpy().data.cast("B"))
            else:
                row.copy_(tensor)
        return found

    def close(self) -> None:
        for peer in self.sockets:
            if peer:
                peer.close()


@contextmanager
def socket_all_gather(group: ObjectGroup, timeout: float) -> Iterator[SocketAllGather | None]:
    """SocketAllGather between all processes of a group; None for all where some can't call one another directly."""
    connected = connect(group, timeout) if group.size <= MOST_PROCESSES else None
    try:
        yield connected
    finally:
        if connected:
            connected.close()


def connect(group: ObjectGroup, timeout: float) -> SocketAllGather | None:
    """Each process calls those of lower rank. `timeout` is the seconds that a socket may stay silent later."""
    sockets: list[socket.socket | None] = [None] * group.size
    token = bytes.fromhex(group.broadcast_object(secrets.token_hex(16)))
    with socket.create_server(("", 0), backlog=group.size) as server:
        server.settimeout(CONNECT_SECONDS)
        addresses = [
            tuple(text.split("|")) for text in group.all_gather_object(f"{own_address()}|{server.getsockname()[1]}")
        ]
        try:
            for rank in range(group.rank):
                host, port = addresses[rank]
                sockets[rank] = peer = socket.create_connection((host, int(port)), CONNECT_SECONDS)
                peer.sendall(token + bytes([group.rank]))
            while None in sockets[group.rank + 1 :]:
                peer, _ = server.accept()
                peer.settimeout(CONNECT_SECONDS)
                greeting = bytearray(len(token) + 1)
                _read(peer, memoryview(greeting))
                if greeting[:-1] == token:  # else a stranger's call
                    sockets[greeting[-1]] = peer
            connected = True
        except OSError:
            connected = False
    made = SocketAllGather(sockets)
    if "no" in group.all_gather_object("yes" if connected else "no"):
        made.close()
        return None
    for each in sockets:
        if each:
            each.settimeout(timeout)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LARGEST_MESSAGE)
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


def _read(peer: socket.socket, into: Any) -> None:
    until = time.perf_counter() + SPIN_SECONDS
    while len(into):
        try:
            count = os.readv(peer.fileno(), [into]) if time.perf_counter() < until else peer.recv_into(into)
        except BlockingIOError:  # nothing there yet; a socket with a timeout never blocks by itself
            os.sched_yield()  # the other side may need this very core
            continue
        if not count:
            raise ConnectionError("the connection was closed")
        into = into[count:]
