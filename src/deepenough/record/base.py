"""The base of the models that make up a record, and the kinds of their fields."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AliasChoices, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field

from deepenough.files import printable


def inside(*path: str, key: str = "", **more: Any) -> Any:
    """A field that lies deeper in the object than in the record, where its key is `key`, or the last of the path."""
    return Field(validation_alias=AliasChoices(AliasPath(*path), key or path[-1]), **more)


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


Finite = Annotated[float | None, BeforeValidator(_finite)]
Name = Annotated[str, BeforeValidator(lambda value: getattr(value, "name", value))]  # of a candidate
FileName = Annotated[str, AfterValidator(printable)]


class _Overlay:
    """An object with some of its attributes replaced."""

    def __init__(self, source: object, changed: dict[str, Any]) -> None:
        self.__dict__ = {"_source": source, **changed}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_source"], name)


class RecordModel(BaseModel):
    """One piece of a record: unknown keys are errors, so that a typo cannot hide."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    @classmethod
    def of(cls, source: object, **computed: Any) -> Self:
        """Fill the model from the attributes of `source`, and from values that it does not hold."""
        return cls.model_validate(_Overlay(source, computed))
