"""Sockets between processes, here between threads that stand for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepenough.distribution import socket_all_gather as wires
from deepenough.distribution.socket_all_gather import SocketAllGather, connect


class Talk:
    """A group of threads that can agree and hear one another."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.said: list[Any] = [None] * size
        self.barrier = threading.Barrier(size)

    def member(self, rank: int) -> Any:
        talk = self

        class Member:
            size = talk.size

            def __init__(self) -> None:
                self.rank = rank

            def all_gather_object(self, mine: Any) -> list[Any]:
                talk.said[rank] = mine
                talk.barrier.wait()
                heard = list(talk.said)
                talk.barrier.wait()
                return heard

            def broadcast_object(self, value: Any) -> Any:
                return self.all_gather_object(value)[0]

        return Member()


def together(size: int, work: Callable[[Any], Any]) -> list[Any]:
    talk = Talk(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, [talk.member(rank) for rank in range(size)]))


@settings(max_examples=10)
@given(size=st.integers(2, 4), length=st.integers(1, 1000), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_everyone_sees_what_everyone_sent(size: int, length: int, dtype: torch.dtype) -> None:
    given = torch.randn(size, length, dtype=dtype)

    def work(member: Any) -> list[torch.Tensor]:
        made = connect(member, timeout=10)
        assert made is not None
        found = [made.all_gather(given[member.rank]), made.all_gather(given[member.rank] + 1)]
        made.close()
        return found

    for first, second in together(size, work):
        assert torch.equal(first, given)
        assert torch.equal(second, given + 1)


def test_a_strided_tensor_arrives_as_it_reads() -> None:
    given = torch.arange(12.0).reshape(3, 4).t()

    def work(member: Any) -> torch.Tensor:
        made = connect(member, timeout=10)
        assert made is not None
        found = made.all_gather(given * (member.rank + 1))
        made.close()
        return found

    for found in together(2, work):
        assert torch.equal(found, torch.stack((given, 2 * given)))


def test_where_one_cannot_be_called_nobody_uses_wires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "own_address", lambda: "name-of-nobody.invalid")
    monkeypatch.setattr(wires, "CONNECT_SECONDS", 0.5)
    assert together(3, lambda member: connect(member, timeout=10)) == [None, None, None]


def test_one_that_is_gone_is_an_error() -> None:
    def work(member: Any) -> str:
        made = connect(member, timeout=5)
        assert made is not None
        if member.rank:
            made.close()
            return "gone"
        with pytest.raises(OSError, match=r"closed|reset|pipe"):
            [made.all_gather(torch.zeros(3)) for _ in range(3)]
        made.close()
        return "seen"

    assert together(2, work) == ["seen", "gone"]


def test_large_and_empty_tensors_are_left_to_the_group() -> None:
    none = SocketAllGather([None, None])
    assert none.carries(torch.zeros(1000))
    assert not none.carries(torch.zeros(0, 10))
    assert not none.carries(torch.zeros(wires.LARGEST_MESSAGE))
