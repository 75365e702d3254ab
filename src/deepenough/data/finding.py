"""Findings: faults of an image or a source, with what was done about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepenough.errors import DeepenoughError
from deepenough.files import printable

NAMED_ALONE = 20
"""Findings of one kind and reason that are named one by one; the others are counted together."""

NO_IMAGE = "not-an-image"
"""The kind of finding that a file of a folder is passed over for; other faults of images are errors."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One thing that the user should know about one image (or folder, or class) of a source.

    `action` says what was done, and `other` names the picture that it is like. `kind` is one of

    - damaged, missing, not-an-image, unsupported, animated, bomb, tiny: an image that can't be used;
    - imperfect, more-than-8-bits: an image that is used all the same;
    - duplicate, near-duplicate, similar-scene, across-splits, conflicting-labels: a picture again, or one like it;
    - unlabelled: an image without a label;
    - empty-class: a folder of a class without an image;
    - not-a-file: a pipe, a socket or a device, which is never opened;
    - unreadable: a file or folder that can't be opened;
    - linked-folder: a link to a folder that is not followed;
    - ignored: what belongs to no class or split, or is a system's own;
    - split-like: a folder that could be a split as well as a class;
    - same-class: names that are spelt differently and taken as one class;
    - similar-classes: classes whose names differ in upper and lower case only;
    - mixed-labels: classes of which some are numbers and some words;
    - other-column: a column that could be the label, the image or the split as well as the one that was taken.
    """

    kind: str
    name: str
    detail: str
    action: str
    other: str = field(default="", compare=False)  # `detail` says it, too


@dataclass
class PassedOver:
    """A collector of what a listing passes over, so that a million files make few findings."""

    _alone: list[Finding] = field(default_factory=list)
    _totals: dict[str, int] = field(default_factory=dict)  # of what is named alone, by kind
    _groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # examples by kind and detail
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, kind: str, name: str, detail: str) -> None:
        """Name one thing that was left out; of more than `NAMED_ALONE` of a kind the others are counted."""
        total = self._totals[kind] = self._totals.get(kind, 0) + 1
        if total <= NAMED_ALONE:
            self._alone.append(Finding(kind, printable(name), detail, "left out"))

    def count(self, kind: str, name: str, detail: str) -> None:
        """Count one of many things that were left out for the same reason, of which a few are named."""
        key = (kind, detail)
        total = self._counts[key] = self._counts.get(key, 0) + 1
        if total <= _EXAMPLES:
            self._groups.setdefault(key, []).append(printable(name))

    def note(self, finding: Finding) -> None:
        """Take a finding as it is."""
        self._alone.append(finding)

    def findings(self) -> tuple[Finding, ...]:
        """Everything so far, in the order in which it came up."""
        found = list(self._alone)
        for kind, total in self._totals.items():
            if total > NAMED_ALONE:
                found.append(Finding(kind, f"{total - NAMED_ALONE:,} more", "of the same kind", "left out"))
        for (kind, detail), examples in self._groups.items():
            more = self._counts[kind, detail] - len(examples)
            names = ", ".join(examples) + (f" and {more:,} more" if more else "")
            found.append(Finding(kind, names, detail, "left out"))
        return tuple(found)


class ImageError(DeepenoughError):
    """An image that cannot be used. `kind` is a kind of finding, `detail` a sentence without the image's name."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
