"""Answers that take many passes through networks: explanations, and the predictions of siblings.

Only what needs the model runs in its thread, with pauses; drawing is left to others.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from PIL import Image

from deepenough.attribution.methods import has_captum, heat
from deepenough.attribution.overlay import overlay
from deepenough.data.decode import upright
from deepenough.explain import explain
from deepenough.model import Model
from deepenough.serve.answers import DepthAnswer
from deepenough.serve.batcher import Pause
from deepenough.serve.decoding import Pixels
from deepenough.serve.depths import Sibling

_SIDE = 640  # longest side (pixels) of a heat map that is laid over a picture

Drawing = Callable[[], bytes]


def warm_up() -> None:
    """Import Captum, which takes a second, before the first client waits for it."""
    if has_captum():
        import_module("captum.attr")


def answers_by_depth(siblings: Sequence[Sibling], pixels: Pixels, pause: Pause) -> list[DepthAnswer]:
    """Classify a picture with each of the networks."""
    answers = []
    for sibling in siblings:
        pause()
        best = sibling.model.rank(sibling.model.probabilities(pixels[None])[0], 1)
        answer = {"label": best.label, "probability": best.confidence}
        answers.append(DepthAnswer.model_validate({**vars(sibling), **answer}))
    return answers


def draw_heat(
    model: Model, method: str, label: str | None, content: bytes | Pixels, pixels: Pixels, pause: Pause
) -> Drawing:
    """Compute the heat; the drawing is a PNG to be laid over the picture, clear where nothing speaks for the class."""
    target = int(model.logits(pixels[None])[0].argmax()) if label is None else model.classes.index(label)
    with pausing(model, method, pause):
        found = heat(model, pixels[None], [target], method)[0]

    def draw() -> bytes:
        picture = upright(content, _SIDE, model.preprocess.levels)
        picture.thumbnail((_SIDE, _SIDE))
        return png(overlay(found, picture.size, model.preprocess.box(*picture.size)))

    return draw


def draw_explanation(
    model: Model, method: str, label: str | None, content: bytes | Pixels, pixels: Pixels, pause: Pause
) -> Drawing:
    """Explain the picture; the drawing is a PNG of the picture, the heat and the classes."""
    with pausing(model, method, pause):
        (found,) = explain(model, content, method=method, target=label)
    return lambda: png(found.picture())


@contextmanager
def pausing(model: Model, method: str, pause: Pause) -> Iterator[None]:
    """Pause before every pass through the network; not for Grad-CAM, which is two passes, and listens to layers."""
    if method == "gradcam":
        yield
        return
    with model.module.register_forward_pre_hook(lambda *_: pause()):
        yield


def png(picture: Image.Image) -> bytes:
    """Encode a picture."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
