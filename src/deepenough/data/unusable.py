"""Refusals of sources of which no image can be used, or too few, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deepenough.data.decode import header
from deepenough.data.finding import Finding, ImageError
from deepenough.data.sources.base import Source
from deepenough.data.sources.in_memory import InMemory
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
    said = "images can be read" if isinstance(source, InMemory) else "files is an image that can be read"
    return DeepenoughError(f"{source.name}: none of its {len(source):,} {said}: {told}{todo}")


def why_too_few(source: Source, findings: Sequence[Finding], few: Sequence[int]) -> str:
    """The reasons why images of the classes `few`, rows of the source's, do not count: how many for which, and an
    example of each; and what of the source can't be read. Empty where all of them do."""
    wanted = set(few)
    rows = {name for name, label in zip(source.names, source.labels.tolist(), strict=True) if label in wanted}
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for finding in findings:
        locked = finding.kind == "unreadable" and finding in source.findings
        if locked or (finding.name in rows and (finding.kind == "duplicate" or finding.action.startswith("left out"))):
            reasons[finding.kind] += 1
            examples.setdefault(finding.kind, f"{finding.name}: {finding.detail}")
    told = "; ".join(f"{count:,} {kind} ({examples[kind]})" for kind, count in reasons.most_common(3))
    return f". Not counted: {told}" if told else ""
