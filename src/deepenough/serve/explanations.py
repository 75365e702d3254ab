"""What takes many passes through networks: where a model looked, and what its siblings say.

In the model's thread only what needs the model is done, with pauses; drawing is left to others.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, Field

from deepenough.attribution.methods import available, heat
from deepenough.attribution.overlay import overlay
from deepenough.data.decode import upright
from deepenough.explain import explain
from deepenough.model import Model
from deepenough.serve.batcher import Pause
from deepenough.serve.depths import Sibling

SIDE = 640  # longest side (pixels) of a heat map that is laid over a picture

Pixels = npt.NDArray[np.uint8]
Drawing = Callable[[], bytes]


class DepthAnswer(BaseModel):
    """What a network of another depth says."""

    name: str
    depth: int
    chosen: bool
    finished: bool = Field(description="false: its training ended early, as pruned")
    label: str
    probability: float


def prepare() -> None:
    """Import what explaining needs, which takes a second, before the first client waits for it."""
    if available():
        import_module("captum.attr")


def said_by(siblings: Sequence[Sibling], pixels: Pixels, pause: Pause) -> list[DepthAnswer]:
    """What each of the networks says about a picture, as the model takes it."""
    said = []
    for sibling in siblings:
        pause()
        best = sibling.model.rank(sibling.model.probabilities(pixels[None])[0], 1)
        said.append(
            DepthAnswer(
                name=sibling.name,
                depth=sibling.depth,
                chosen=sibling.chosen,
                finished=sibling.finished,
                label=best.label,
                probability=best.confidence,
            )
        )
    return said


def heat_over(model: Model, method: str, label: str | None, content: bytes, pixels: Pixels, pause: Pause) -> Drawing:
    """A PNG to be laid over the picture: clear where nothing speaks for the class."""
    target = int(model.logits(pixels[None])[0].argmax()) if label is None else model.classes.index(label)
    with in_slices(model, method, pause):
        found = heat(model, pixels[None], [target], method)[0]

    def draw() -> bytes:
        picture = upright(content, SIDE)
        picture.thumbnail((SIDE, SIDE))
        return png(overlay(found, picture.size, model.preprocess.box(*picture.size)))

    return draw


def explained(model: Model, method: str, label: str | None, content: bytes, pixels: Pixels, pause: Pause) -> Drawing:
    """A PNG of the picture, the heat and the classes."""
    with in_slices(model, method, pause):
        (found,) = explain(model, content, method=method, target=label)
    return lambda: png(found.picture())


@contextmanager
def in_slices(model: Model, method: str, pause: Pause) -> Iterator[None]:
    """Pause before every pass through the network; not for Grad-CAM, which is two passes, and listens to layers."""
    if method == "gradcam":
        yield
        return
    with model.module.register_forward_pre_hook(lambda *_: pause()):
        yield


def png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
