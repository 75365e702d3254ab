"""Defects of images, and the actions that were taken."""

from __future__ import annotations

from dataclasses import dataclass

from deepenough.errors import DeepenoughError


@dataclass(frozen=True)
class Finding:
    """One thing that the user should know about one image (or folder) of a source.

    `kind` is one of damaged, missing, not-a-file, unreadable, not-an-image, unsupported, animated, bomb, tiny,
    duplicate, near-duplicate, similar-scene, across-splits, conflicting-labels, empty-class, ignored; of what is used
    all the same imperfect and more-than-8-bits. `action` says what was done.
    """

    kind: str
    name: str
    detail: str
    action: str


class ImageError(DeepenoughError):
    """An image that cannot be used. `kind` is a kind of finding, `detail` a sentence without the image's name."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
