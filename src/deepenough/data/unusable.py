"""The refusal of a source of which no image can be used."""

from __future__ import annotations

from collections import Counter

from deepenough.data.decode import header
from deepenough.data.finding import ImageError
from deepenough.data.sources.base import Source
from deepenough.errors import DeepenoughError

_LOOKED_AT = 1_000

_TO_DO = {
    "tiny": "resize them first",
    "missing": "check the paths",
    "not-an-image": "give the images themselves",
    "unsupported": "convert them first, to PNG or JPEG",
    "animated": "save one picture of each",
}


def none_usable(source: Source) -> DeepenoughError:
    """The error for a source without an image that can be used: how many for which reason, and an example."""
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for row in range(min(len(source), _LOOKED_AT)):
        try:
            header(source.read(row))
        except ImageError as error:
            kind, detail = error.kind, error.detail
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            kind, detail = (
                ("missing", "there is no such file") if missing else ("unreadable", f"{error.strerror or error}")
            )
        else:
            continue
        reasons[kind] += 1
        examples.setdefault(kind, f"{source.names[row]}: {detail}")
    among = f" of the first {_LOOKED_AT:,}" if len(source) > _LOOKED_AT else ""
    told = "; ".join(f"{count:,}{among} {kind} ({examples[kind]})" for kind, count in reasons.most_common(3))
    todo = next((f"; {_TO_DO[kind]}" for kind, _ in reasons.most_common(1) if kind in _TO_DO), "")
    return DeepenoughError(
        f"{source.name}: none of its {len(source):,} files is an image that can be read: {told}{todo}"
    )
