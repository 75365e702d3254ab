"""Images read as the user asked, and as pretrained weights expect them."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.images import Images, prepare
from deepenough.data.sixteen_bits import Levels
from deepenough.data.sources import Source
from deepenough.experiment.options import Options
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.weights import Weights
from deepenough.weights.grey import colour, grey


def read_images(source: Source, asked: Options, size: int | Preprocessing | None, reporter: Reporter) -> Images:
    """Read the images at a size, split by the seed that was asked for, within its limits."""
    with reporter.task("reading images") as advance:
        return prepare(
            source,
            size=size,
            seed=asked.seed,
            progress=advance,
            cache_limit=asked.cache_limit,
            limit=asked.limit,
            leave_out=asked.leaves_duplicates_out,
        )


def images_for_weights(weights: Weights, source: Source, asked: Options, reporter: Reporter) -> tuple[Weights, Images]:
    """Read the images as the weights expect them, and fit the weights to the images (grey ones, another size).

    The framing asked for is "source", the centre that the weights' source cuts out, or "whole": scaled to be seen as
    far as the shape allows. On clothing, the whole is worth two points (benchmarks/LOG.md). The weights are given with
    the way of these images into them.
    """
    wanted = weights.input if asked.framing == "source" else replace(weights.input, shorter=None)
    wanted = wanted if asked.size is None else wanted.resized(asked.size)
    reporter.say(f"{weights.name}: {weights.network.name}, read as {weights.source}'s; each image {wanted}")
    images = read_images(source, asked, replace(wanted, levels=None), reporter)
    if images.preprocess.channels == 1:
        weights = grey(weights)
    elif weights.network.input[0] == 1:
        weights = colour(weights)
    own = images.preprocess  # levels and value range of these images, whatever the weights were trained on
    preprocess = replace(
        weights.input, size=wanted.size, shorter=wanted.shorter, levels=own.levels, value_range=own.value_range
    )
    return replace(weights, input=preprocess), replace(images, preprocess=preprocess)


def with_levels(images: Images, levels: Levels, source: Source, asked: Options, reporter: Reporter) -> Images:
    """The images with these levels. Runs of older versions took others than those that are found today."""
    if images.preprocess.levels in (None, levels):
        return images
    return read_images(source, asked, replace(images.preprocess, levels=levels), reporter)
