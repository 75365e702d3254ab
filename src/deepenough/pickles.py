"""Pickles read without running anything: nothing that they name is imported, stand-ins take its place."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from deepenough.errors import DeepenoughError

MOST_OPERATIONS = 2_000_000
"""Operations of a pickle that are read; the checkpoint of ResNet-152 with its optimizer has a tenth of it."""

DEEPEST_TUPLE = 100
"""Tuples in tuples. Python compares and hashes them by recursion in C, which overflows at some depth."""

MOST_STAND_INS = 1_000
"""Classes of a pickle that get stand-ins; checkpoints name about twenty, and a class takes a kilobyte."""

_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_FILLING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_FILLED = {"DICT", "LIST"}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class PickleError(DeepenoughError):
    """A pickle that is damaged or beyond what is read."""


class StandIn:
    """An object of a class that was not loaded. `content` is what the pickle gives it: attributes and items."""

    kind = ""
    """The module and name of the class."""

    content: dict[Any, Any]

    def __new__(cls, *_given: Any, **_named: Any) -> StandIn:
        self = super().__new__(cls)
        self.content = {}
        return self

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if not isinstance(part, dict):
                continue
            if not self.content:
                self.content = part  # shared: a copy could be made for every few bytes of the file
            elif part is not self.content:
                self.content |= part
                part.clear()

    def __setitem__(self, key: Any, value: Any) -> None:
        self.content[key] = value

    def append(self, value: Any) -> None:
        self.content[len(self.content)] = value

    add = append


class Ordered(dict[Any, Any]):
    """An `OrderedDict` of a pickle, without attributes. Python 2 gives it a list of pairs, which it empties: no pair is
    in memory more often than it is in the file."""

    def __init__(self, pairs: Any = None) -> None:
        if pairs is None:
            pairs = []
        if not isinstance(pairs, list):
            raise PickleError("a pickle with a copy of a dict")
        super().__init__(pairs)
        pairs.clear()

    def __setstate__(self, _state: Any) -> None:
        """Take no attributes: torch's `_metadata` says nothing of weights."""


class Sealed:
    """A function of ours as a pickle gets it: it can be called, but its defaults and attributes stay as they are."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._call(*given, **named)

    def __setstate__(self, _state: Any) -> None:
        raise PickleError("a pickle that changes a function")


class SafeUnpickler(pickle.Unpickler):
    """An unpickler that makes plain containers, what `known` makes, and stand-ins for everything else."""

    def __init__(self, file: BinaryIO, known: Mapping[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(io.BytesIO(_checked(file)), encoding="latin1")
        functions = {name: made if isinstance(made, type) else Sealed(made) for name, made in known.items()}
        self._known: dict[tuple[str, str], Any] = {("collections", "OrderedDict"): Ordered, **functions}
        self.stand_ins: dict[str, type[StandIn]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._known:
            return self._known[module, name]
        kind = f"{module}.{name}"
        if kind not in self.stand_ins:
            if len(self.stand_ins) >= MOST_STAND_INS:
                raise PickleError(f"a pickle of objects of more than {MOST_STAND_INS:,} classes")
            self.stand_ins[kind] = type("StandIn", (StandIn,), {"kind": kind})
        return self.stand_ins[kind]

    def load(self) -> Any:
        try:
            return super().load()
        except DeepenoughError:
            raise
        except Exception as error:  # a damaged pickle fails in every way there is
            raise PickleError(f"a pickle that can't be read ({type(error).__name__})") from None


def _checked(file: BinaryIO) -> bytes:
    """Read one pickle from here on, of which is known that it asks for no more memory than it has bytes."""
    start = file.tell()
    check_pickle(file)
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def check_pickle(file: BinaryIO) -> None:
    """Go through the operations of a pickle, and raise the error for what would exhaust memory or stack."""
    stack: list[int | None] = []  # of each object how deep its tuples are; None is a mark
    memo: dict[int, int] = {}
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPERATIONS:
                raise PickleError(f"a pickle of more than {MOST_OPERATIONS:,} operations")
            if code.name in _PUTS or code.name == "MEMOIZE":
                place = len(memo) if argument is None else int(argument)
                if not 0 <= place <= count:
                    raise PickleError("a pickle that asks for memory that it doesn't need")
                memo[place] = stack[-1] or 0
            elif code.name in _GETS:
                stack.append(memo[int(argument or 0)])
            else:
                _apply(code, stack)
    except DeepenoughError:
        raise
    except Exception as error:
        raise PickleError(f"a pickle that can't be read ({type(error).__name__})") from None


def _apply(code: Any, stack: list[int | None]) -> None:
    """Do to the stack of depths as the operation does to that of objects."""
    taken: list[int | None] = []
    if pickletools.markobject in code.stack_before or (code.name == "POP" and stack[-1] is None):
        while (top := stack.pop()) is not None:
            taken.append(top)
        if code.stack_before[0] is not pickletools.markobject and code.name != "POP":
            taken.append(stack.pop())  # the list, set or dict that the marked objects go into
    else:
        taken = [stack.pop() for _ in code.stack_before]
    depth = _depth(code.name, [depth or 0 for depth in taken])
    if depth > DEEPEST_TUPLE:
        raise PickleError(f"a pickle of tuples in more than {DEEPEST_TUPLE} others")
    stack += [None if made is pickletools.markobject else depth for made in code.stack_after]


def _depth(operation: str, taken: list[int]) -> int:
    """Tell how deep the tuples of the object are that an operation makes of those taken from the stack, topmost first.

    A call may give back what it was given. What is filled comes last, stays the object that it was, and may be a tuple
    that nothing is put into.
    """
    if operation in _FILLED:
        return 0  # hashed and compared by none, or with Python's own check of the depth
    if operation in _FILLING:
        return taken[-1]
    return max(taken, default=0) + (operation in _TUPLES)
