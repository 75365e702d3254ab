"""Texts of an experiment's record: in English with the figures that are in them, said in any language of the pages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from deepenough.language import gettext, lookup


class Message(BaseModel):
    """A message of the catalogue with figures in its places; `str` says it in the current language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str
    values: dict[str, int | str | Message]

    def __str__(self) -> str:
        values = {name: value if isinstance(value, int) else say(value) for name, value in self.values.items()}
        return gettext(self.message, **values)


Text = str | Message
"""A message without places is the plain text."""


def said(message: str, **values: int | Text) -> Text:
    """A text of the record: the message, with `values` in its places."""
    return Message(message=message, values=values) if values else message


def say(text: Text) -> str:
    """A text in the current language."""
    return str(text) if isinstance(text, Message) else lookup(text)
