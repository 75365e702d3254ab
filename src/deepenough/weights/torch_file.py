"""The content of files that torch writes, `torch.save` as well as TorchScript, without running anything of it."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.pickles import PickleError, SafeUnpickler, StandIn

DTYPES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
"""Types of values by the names of torch's storages."""

DAMAGES = (
    OSError, EOFError, LookupError, ValueError, ArithmeticError, RuntimeError, AttributeError, TypeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""Exceptions that reading a damaged file raises; an encrypted archive is a RuntimeError."""

LEGACY_PICKLES = 3
"""Pickles before the content in the format that torch wrote until 1.6: a number, the format, the machine."""


class Storage:
    """Numbers in the file at `path`, of one type, which are read when they are first needed."""

    def __init__(self, path: Path, dtype: torch.dtype, size: int, read: Callable[[], bytes]) -> None:
        self.path = path
        self.dtype = dtype
        self.size = size
        self._read = read

    def __setstate__(self, _state: Any) -> None:
        """Leave the attributes as they are, whatever the pickle has for them."""

    @cached_property
    def values(self) -> Tensor:
        """All of them, one after the other."""
        content = self._read()
        if len(content) < self.size * self.dtype.itemsize:
            raise PickleError("fewer numbers than its tensors have")
        return torch.frombuffer(bytearray(content), dtype=self.dtype)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file: what it looks like, and the numbers that it is made of, which only `load` reads."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        return self.storage.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def __setstate__(self, _state: Any) -> None:
        """Leave the attributes as they are, whatever the pickle has for them."""

    def load(self) -> Tensor:
        """Read the tensor. Numbers that the file does not have, or that are damaged, are an error."""
        with whole(self.storage.path):
            return self._load()

    def _load(self) -> Tensor:
        sides = (self.offset, *self.shape, *self.stride)
        if len(self.shape) != len(self.stride) or not all(type(side) is int and side >= 0 for side in sides):
            raise DeepenoughError("a tensor has an impossible shape; fetch the file again")
        count = math.prod(self.shape)
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        if count > self.storage.size or (count and last >= self.storage.size):
            raise DeepenoughError(
                f"a tensor claims {count:,} numbers, of which {self.storage.size:,} are in the file; fetch it again"
            )
        if not count:
            return torch.empty(self.shape, dtype=self.dtype)
        return self.storage.values.as_strided(self.shape, self.stride, self.offset)


AnyTensor: TypeAlias = Tensor | StoredTensor
AnyTensors: TypeAlias = Mapping[str, AnyTensor]


def loaded(tensor: AnyTensor) -> Tensor:
    """The tensor itself, read where it is still in its file."""
    return tensor.load() if isinstance(tensor, StoredTensor) else tensor


class _TorchUnpickler(SafeUnpickler):
    """Makes `StoredTensor` of torch's tensors; `find` gives what reads a storage, by its key and bytes.

    All storages together have at most as many bytes as the file at `path`.
    """

    def __init__(self, file: Any, find: Callable[[str, int], Callable[[], bytes]], path: Path) -> None:
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor"): lambda *given: _stored(*given[:4]),
            ("torch._utils", "_rebuild_tensor_v2"): lambda *given: _stored(*given[:4]),
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: _tensor(data),
            ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: _tensor(data),
            ("torch._tensor", "_rebuild_from_type_v2"): lambda make, _kind, given, _state: _tensor(make(*given)),
        }
        super().__init__(file, known)
        self._find = find
        self._path = path
        self._most = path.stat().st_size
        self._storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise PickleError("a pickle that refers to what is not in the file")
        _, kind, key, _, size = pid[:5]
        dtype = DTYPES.get(getattr(kind, "kind", "").removeprefix("torch.").removesuffix("Storage"))
        if dtype is None or not isinstance(key, str) or type(size) is not int:
            return StandIn()
        if key not in self._storages:
            self._most -= size * dtype.itemsize
            if size < 0 or self._most < 0:
                raise PickleError("more numbers than it has room for")
            self._storages[key] = Storage(self._path, dtype, size, self._find(key, size * dtype.itemsize))
        return self._storages[key]


def _stored(storage: Any, offset: Any, shape: Any, stride: Any) -> StoredTensor | StandIn:
    if not isinstance(storage, Storage):
        return StandIn()  # of a type that no weights have
    if not (isinstance(shape, tuple) and isinstance(stride, tuple)):
        raise PickleError("a tensor without a shape")  # a list would be copied, each time that it is named
    return StoredTensor(storage, offset, shape, stride)


def _tensor(value: Any) -> StoredTensor | StandIn:
    """Give back a tensor, and nothing else that a pickle may put in a tensor's place."""
    return value if isinstance(value, StoredTensor) else StandIn()


def torch_content(path: Path) -> tuple[Any, list[str]]:
    """Read what `torch.save` was given, or the module that TorchScript saved, with `StoredTensor` where tensors were.

    Objects of classes are stand-ins (`pickles.StandIn`); the second list names those classes.
    """
    with whole(path):
        return _archive(path) if zipfile.is_zipfile(path) else _legacy(path)


def is_program(path: Path) -> bool:
    """Tell whether TorchScript wrote a file: it has the source of what its module computes beside the tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with whole(path), zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Raise the one error for all the ways in which a damaged torch file fails, while it or a tensor of it is read."""
    try:
        yield
    except PickleError as error:
        raise DeepenoughError(f"{path} can't be read as tensors alone: it holds {error}; fetch it again") from None
    except DAMAGES as error:
        raise DeepenoughError(f"{path} is not a whole torch file ({type(error).__name__}); fetch it again") from None


def _archive(path: Path) -> tuple[Any, list[str]]:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        start = min((name for name in members if name.endswith("data.pkl")), key=len).removesuffix("data.pkl")
        order = members.get(f"{start}byteorder")
        if order is not None and order.file_size < 16 and archive.read(order) == b"big":
            raise PickleError("numbers in the order of a big-endian machine")

        def find(key: str, size: int) -> Callable[[], bytes]:
            info = members[f"{start}data/{key}"]
            if info.compress_type != zipfile.ZIP_STORED or info.file_size < size:
                raise PickleError("packed or missing numbers, which torch does not write")
            return partial(_member, path, info)

        pickled = members[f"{start}data.pkl"]
        if pickled.compress_type != zipfile.ZIP_STORED:
            raise PickleError("a packed pickle, which torch does not write")
        with archive.open(pickled) as file:
            unpickler = _TorchUnpickler(file, find, path)
            return unpickler.load(), list(unpickler.stand_ins)


def _member(path: Path, info: zipfile.ZipInfo) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(info)


def _legacy(path: Path) -> tuple[Any, list[str]]:
    """Several pickles, and then the storages: of each the count of numbers, and the numbers."""
    sizes: dict[str, int] = {}
    places: dict[str, int] = {}

    def find(key: str, size: int) -> Callable[[], bytes]:
        sizes[key] = size
        return lambda: _part(path, places[key], size)

    with path.open("rb") as file:
        for _ in range(LEGACY_PICKLES):
            SafeUnpickler(file, {}).load()
        unpickler = _TorchUnpickler(file, find, path)
        content = unpickler.load()
        keys = SafeUnpickler(file, {}).load()
        place = file.tell()
        for key in keys if isinstance(keys, list) else ():
            places[key] = place + 8
            place += 8 + sizes[key]
    return content, list(unpickler.stand_ins)


def _part(path: Path, place: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(size)
