"""Room for requests, and the pace of refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.serve.refusal_pace import BURST, LEAST, LONGEST, SHARE, RefusalPace
from deepenough.serve.refusals import FullError
from deepenough.serve.room import Room


def test_who_finds_no_room_is_let_in_in_the_order_of_coming() -> None:
    async def ask() -> list[str]:
        room, told = Room(3, "pictures", patience=20), []

        async def come(name: str, count: int) -> None:
            async with room.entered(count):
                told.append(name)

        room.take(2)
        waiting = [asyncio.create_task(come(name, count)) for name, count in (("two", 2), ("one", 1), ("three", 3))]
        await asyncio.sleep(0)
        assert told == []  # the one that fits does not pass those that came before it
        waiting[0].cancel()
        await asyncio.sleep(0)
        room.leave(2)
        await asyncio.gather(*waiting, return_exceptions=True)
        assert room.taken == 0
        return told

    assert asyncio.run(ask()) == ["one", "three"]


def test_nobody_waits_for_long_nor_for_nothing() -> None:
    async def ask() -> None:
        room = Room(2, "pictures", patience=0.05)
        room.check()
        async with room.entered(2):
            room.check()
            waiting = [asyncio.create_task(room.entered().__aenter__()) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(FullError):  # as many wait as there is room for
                room.check()
            with pytest.raises(FullError):
                await room.entered().__aenter__()
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(each) for each in found] == [FullError] * 2
            room.check()
        with pytest.raises(FullError, match="room for 2"):
            await room.entered(3).__aenter__()
        assert room.taken == 0
        impatient = Room(1, "explanations")
        async with impatient.entered():
            with pytest.raises(FullError):
                impatient.check()

    asyncio.run(ask())


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.booleans()), max_size=25))
def test_room_is_never_overdrawn_and_all_of_it_comes_back(guests: Sequence[tuple[int, int, bool]]) -> None:
    async def ask() -> None:
        room = Room(4, "pictures", patience=0.02)

        async def come(count: int, turns: int) -> None:
            async with room.entered(count):
                assert room.taken <= room.most
                for _ in range(turns):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(come(count, turns)) for count, turns, _ in guests]
        await asyncio.sleep(0)
        for task, (_, _, goes) in zip(tasks, guests, strict=True):
            if goes:
                task.cancel()
                await asyncio.sleep(0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(each is None or isinstance(each, (FullError, asyncio.CancelledError)) for each in found)
        assert room.taken == 0
        async with room.entered(4):
            pass

    asyncio.run(ask())


def told_within(pace: RefusalPace, begin: float, seconds: float, clients: int) -> int:
    """Refusals in some seconds where clients ask again as soon as they are refused."""
    due, told = [begin] * clients, 0
    while (now := min(due)) < begin + seconds:
        due.remove(now)
        delay = pace.delay(now)
        assert 0 <= delay <= LONGEST
        told += now + delay < begin + seconds
        due.append(now + max(delay, 1e-6))
    return told


def test_refusals_are_a_share_of_the_answers() -> None:
    quiet = RefusalPace()
    assert told_within(quiet, 100.0, 5.0, 50) <= LEAST * (5 + BURST) + 1
    busy = RefusalPace()
    for number in range(1, 1001):
        busy.answered(100 + number / 1000)
    assert busy.delay(101.0) == 0
    assert told_within(busy, 101.0, 1.0, 80) <= SHARE * 1000 * (1 + BURST) + 1


def test_a_single_refusal_is_told_at_once() -> None:
    pace = RefusalPace()
    assert [pace.delay(now) for now in (5.0, 6.0, 60.0)] == [0.0] * 3


def test_no_refusal_is_held_for_ever() -> None:
    pace = RefusalPace()
    assert max(pace.delay(50.0) for _ in range(10_000)) == LONGEST
    assert pace.delay(50.0 + LONGEST + BURST + 1) < LONGEST
