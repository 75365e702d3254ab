"""From a graph to nested branches: where values part, where they meet, and what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepenough.nets.combinators import Elementwise
from deepenough.nets.layers import ChannelSlice
from deepenough.weights.graphs.graph import GraphError, Operation, plain_name

DEEPEST = 40
"""Branches in branches that are read; published networks have four."""


@dataclass(frozen=True, eq=False)
class Step:
    """An operation in a stack; `branches` are the stacks that a join puts together."""

    operation: Operation
    branches: tuple[tuple[Step, ...], ...] = ()


def steps(file: str, images: Operation, output: Operation) -> tuple[Step, ...]:
    """The stack from the images to `output`. A graph that is not made of branches that join is an error.

    A join's branches part at the last operation that all of their paths go through: its immediate dominator.
    """
    return _Stacks(file, images, output).between(images, output, 0)


def ordered(output: Operation) -> Iterator[Operation]:
    """All operations that `output` depends on, each behind those that it reads."""
    seen: set[Operation] = set()
    waiting = [(output, False)]
    while waiting:
        operation, finished = waiting.pop()
        if finished:
            yield operation
        elif operation not in seen:
            seen.add(operation)
            waiting.append((operation, True))
            waiting += [(given, False) for given in operation.inputs]


class _Stacks:
    def __init__(self, file: str, images: Operation, output: Operation) -> None:
        self.file = file
        self.used: set[Operation] = set()
        self.dominator: dict[Operation, Operation] = {}
        self.depth = {images: 0}
        for operation in ordered(output):
            if operation is images:
                continue
            if not operation.inputs:
                raise GraphError(f"{file}: layer {plain_name(operation.name)!r} reads nothing that the images give")
            meeting = operation.inputs[0]
            for other in operation.inputs[1:]:
                meeting = self._common(meeting, other)
            self.dominator[operation] = meeting
            self.depth[operation] = self.depth[meeting] + 1

    def _common(self, one: Operation, other: Operation) -> Operation:
        while one is not other:
            if self.depth[one] >= self.depth[other]:
                one = self.dominator[one]
            else:
                other = self.dominator[other]
        return one

    def between(self, start: Operation, end: Operation, nesting: int) -> tuple[Step, ...]:
        """The stack behind `start`, which dominates `end`, up to `end`."""
        if nesting > DEEPEST:
            raise GraphError(f"{self.file}: its branches are nested more than {DEEPEST} deep, which is not read")
        found = []
        while end is not start:
            if end in self.used and not isinstance(end.layer, ChannelSlice):  # which each of its readers may have
                raise GraphError(
                    f"{self.file}: what layer {plain_name(end.name)!r} gives is read in branches that part and join "
                    "again in other places; known here are branches that read one value and are joined"
                )
            self.used.add(end)
            meeting = self.dominator[end]
            if end.join is None:
                found.append(Step(end))
            else:
                parts = [self.between(meeting, given, nesting + 1) for given in end.inputs]
                found.append(Step(end, _merged(end, parts)))
            end = meeting
        return tuple(reversed(found))


def _merged(operation: Operation, parts: list[tuple[Step, ...]]) -> tuple[tuple[Step, ...], ...]:
    """The branches of a join; a sum of a sum and a value, as graphs have those of three, is one of all."""
    first = parts[0]
    alike = len(first) == 1 and first[0].operation.join is operation.join
    if alike and operation.join is not None and issubclass(operation.join, Elementwise):
        return (*first[0].branches, *parts[1:])
    return tuple(parts)
