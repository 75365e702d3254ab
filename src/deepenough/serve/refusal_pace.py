"""The pace at which clients are told that there is no room for them.

A refusal costs about half as much as an answer, and a client that asks again at once gets one refusal after the other:
a few hundred of these would take most of the time that answers to others need. So refusals are held back where there
are many.
"""

from __future__ import annotations

import asyncio

LEAST = 20.0  # refusals a second, however few answers there are
SHARE = 0.1  # refusals for each answer
BURST = 1.0  # seconds whose refusals are told at once, after a time without any
LONGEST = 10.0  # seconds after which a refusal is told, however many wait for theirs


class RefusalPace:
    """Holds refusals so that there are about `SHARE` of them for each answer of the last second, `LEAST` at least."""

    def __init__(self) -> None:
        self._answers = self._answers_before = 0
        self._second = 0.0  # the start of the second in which `_answers` are counted
        self._due = 0.0  # the time at which the next refusal is due

    def answered(self, now: float) -> None:
        """Count an answer."""
        self._begin_second(now)
        self._answers += 1

    def delay(self, now: float) -> float:
        """Seconds to hold the next refusal."""
        self._begin_second(now)
        rate = max(LEAST, SHARE * max(self._answers, self._answers_before))
        due = max(self._due, now - BURST)
        held = min(max(due - now, 0.0), LONGEST)
        self._due = min(due, now + LONGEST) + 1 / rate
        return held

    async def wait(self) -> None:
        """Hold a refusal until it is its turn."""
        if seconds := self.delay(asyncio.get_running_loop().time()):
            await asyncio.sleep(seconds)

    def _begin_second(self, now: float) -> None:
        if now >= self._second + 1:
            self._answers_before = self._answers if now < self._second + 2 else 0
            self._answers, self._second = 0, now
