"""Messages for protocol buffers, made of tables when they are first asked for: no compiler is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepenough.weights.malformed import MalformedError

Fields = Mapping[str, tuple[Any, ...]]
"""The fields of a message by name: number and type, where it matters here also the default. Others are skipped."""


def messages_of(package: str, tables: Mapping[str, Fields]) -> Any:
    """Return the pool of the descriptors of a package (proto2), which are called `package.Name`."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for title, fields in tables.items():
        made = file.message_type.add(name=title)
        for name, row in fields.items():
            _add_field(made, f".{package}", tables, name, row)
    pool = descriptor_pool.DescriptorPool()  # of its own: others know such files too
    pool.Add(file)
    return pool


def message_class(pool: Any, name: str) -> Any:
    """Return the class of a message of a pool."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def parsed(pool: Any, name: str, content: bytes, where: str) -> Any:
    """Read a message of a pool; MalformedError says `where` bytes are that are none."""
    from google.protobuf.message import DecodeError

    try:
        return message_class(pool, name).FromString(content)
    except DecodeError:
        raise MalformedError(f"{where} is no message of protocol buffers") from None


def _add_field(made: Any, package: str, tables: Mapping[str, Fields], name: str, row: tuple[Any, ...]) -> None:
    number, kinds, *default = row
    words = kinds.split()
    repeated = words[0] == "repeated"
    kind, *rest = words[repeated:]
    field = made.field.add(name=name, number=number, default_value=default[0] if default else None)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind == "enum":
        words_of = made.enum_type.add(name=name.capitalize())
        for value, word in enumerate(rest):
            words_of.value.add(name=word, number=value)
        field.type, field.type_name = field.TYPE_ENUM, f"{package}.{made.name}.{words_of.name}"
    elif kind in tables:
        field.type, field.type_name = field.TYPE_MESSAGE, f"{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    if "packed" in rest:
        field.options.packed = True
