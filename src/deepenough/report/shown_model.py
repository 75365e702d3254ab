"""A model where a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from deepenough.language import Language, current_language, language_tag, listed, speaking
from deepenough.language import gettext as _
from deepenough.preprocessing import Preprocessing
from deepenough.report.restated_probes import preprocessing_text

LISTED_CLASSES = 20
"""Classes that a notebook names of a model."""


@dataclass(frozen=True)
class ModelSize:
    """The counts of a network whose layers are known."""

    depth: int
    parameters: int
    macs: int


@dataclass(frozen=True)
class ModelFacts:
    """A model as a notebook shows it; `device` is None where another engine than torch computes."""

    name: str
    shape: tuple[int, ...]
    preprocess: Preprocessing
    classes: Sequence[str]
    engine: str
    device: str | None
    size: ModelSize | None

    @property
    def where(self) -> str:
        """The device that computes it, or the engine where that is not torch, in the current language."""
        return _("on %(device)s", device=self.device) if self.device else _("by %(engine)s", engine=self.engine)


def model_html(model: ModelFacts, language: str | None = None) -> str:
    """A table of a model for a notebook. `language` is "en" or "zh", by default that of the locale."""
    left = ' style="text-align:left"'
    with speaking(language):
        lines = "".join(f"<tr><th{left}>{name}</th><td{left}>{escape(text)}</td></tr>" for name, text in _rows(model))
        return f'<div lang="{language_tag()}"><p><strong>{escape(model.name)}</strong></p><table>{lines}</table></div>'


def _rows(model: ModelFacts) -> list[tuple[str, str]]:
    measures = []
    if size := model.size:
        measures = [
            (_("depth"), _("%(count)s weighted layers", count=size.depth)),
            (_("parameters"), f"{size.parameters:,}"),
            (_("multiply-accumulates"), f"{size.macs:,}"),
        ]
    semicolon = "; " if current_language() is Language.ENGLISH else "；"
    more = ["…"] if len(model.classes) > LISTED_CLASSES else []
    named = listed([*model.classes[:LISTED_CLASSES], *more])
    return [
        *measures,
        (_("input"), " × ".join(map(str, model.shape)) + semicolon + preprocessing_text(model.preprocess)),
        (_("classes"), f"{len(model.classes)}{_(': ')}{named}"),
        (_("computed"), model.where),
    ]
