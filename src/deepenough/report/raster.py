"""Figures of the page as pictures, drawn with Pillow: for a folder, a notebook or a slide, where no script runs.

They are drawn from the same Plotly JSON, of which this knows what `figures` uses of axes, lines, markers and bars.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from itertools import pairwise
from typing import Any

from PIL import Image, ImageDraw

from deepenough.fonts import fitting, font
from deepenough.report.html import asset
from deepenough.report.plotting import Plot

SIZE = (900, 560)
"""Width and height of a picture in points; it has twice as many pixels, for dense screens."""

DENSITY, SMOOTHING = 2, 2  # pixels of the picture a point; of the drawing a pixel, so that slanted lines are smooth
_LETTERS, _LINE = 13, 20  # height of letters and of a line of text, in points
_DASHES = {"solid": (), "dash": (9, 6), "dot": (2, 4), "dashdot": (9, 4, 2, 4)}
Place = tuple[float, float]


@cache
def colours() -> dict[str, str]:
    """The colours of the page by their names in the style sheet, as they are on light ground."""
    light = asset("report", "style.css").partition("@media")[0]
    return dict(re.findall(r"(--\w+): (#[0-9a-f]+)", light))


@dataclass
class Canvas:
    """A picture to draw on, in points from its upper left corner."""

    width: int
    height: int
    scale: int = DENSITY * SMOOTHING
    image: Image.Image = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width * self.scale, self.height * self.scale), colours()["--panel"])
        self.draw = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        """The picture, smoothed."""
        return self.image.reduce(SMOOTHING)

    def line(self, points: Sequence[Place], colour: str, width: float = 1, dash: Sequence[float] = ()) -> None:
        """A line through points, whole or in dashes of so many points on and off."""
        for start, end in pairwise(points) if dash else ():
            for piece in _dashes(start, end, dash):
                self.line(piece, colour, width)
        if not dash and len(points) > 1:
            self.draw.line(self._scaled(points), self.colour(colour), round(width * self.scale), joint="curve")

    def shape(self, points: Sequence[Place], colour: str, *, filled: bool, width: float = 2) -> None:
        """A polygon."""
        if filled:
            self.draw.polygon(self._scaled(points), self.colour(colour))
        else:
            self.line([*points, points[0]], colour, width)

    def circle(self, centre: Place, radius: float, colour: str, *, filled: bool, width: float = 2) -> None:
        (x, y), edge = centre, radius * self.scale
        box = (x * self.scale - edge, y * self.scale - edge, x * self.scale + edge, y * self.scale + edge)
        if filled:
            self.draw.ellipse(box, self.colour(colour))
        else:
            self.draw.ellipse(box, outline=self.colour(colour), width=round(width * self.scale))

    def text(
        self, place: Place, words: str, colour: str = "--text", anchor: str = "la", size: float = _LETTERS
    ) -> None:
        """Words at a place; `anchor` is Pillow's: l, m, r for left, middle, right, then a, m, s for top to base."""
        letters = font(words, round(size * self.scale))
        x, y = place
        self.draw.text((x * self.scale, y * self.scale), words, self.colour(colour), letters, anchor)

    def turned(
        self, place: Place, words: str, degrees: float, *, centred: bool = False, colour: str = "--text"
    ) -> None:
        """Words turned against the clock; `place` is their end, or the middle of them where they are `centred`."""
        letters = font(words, _LETTERS * self.scale)
        box = letters.getbbox(words)
        mask = Image.new("L", (round(box[2]) + 2, round(box[3]) + 2))
        ImageDraw.Draw(mask).text((0, 0), words, 255, letters)
        mask = mask.rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)
        x, y = place[0] * self.scale, place[1] * self.scale
        corner = (x - mask.width / 2, y - mask.height / 2) if centred else (x - mask.width, y)
        self.image.paste(self.colour(colour), (round(corner[0]), round(corner[1])), mask)

    def length(self, words: str, size: float = _LETTERS) -> float:
        """The width of words, in points."""
        return font(words, round(size * self.scale)).getlength(words) / self.scale

    def _scaled(self, points: Sequence[Place]) -> list[Place]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    @staticmethod
    def colour(name: str) -> str:
        return colours().get(name, name)


def _dashes(start: Place, end: Place, dash: Sequence[float]) -> Iterable[tuple[Place, Place]]:
    length, place, number = math.dist(start, end), 0.0, 0

    def at(share: float) -> Place:
        return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])

    while place < length:
        step = dash[number % len(dash)]
        if number % 2 == 0:
            yield at(place / length), at(min(place + step, length) / length)
        place, number = place + step, number + 1


@dataclass(frozen=True)
class Axis:
    """Values along one side of a figure: `low` and `high` are at the ends `first` and `last`, in points."""

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    @classmethod
    def over(cls, values: Sequence[float], first: float, last: float, *, logarithmic: bool = False) -> Axis:
        """An axis with room beyond the outermost values."""
        own = [math.log10(value) for value in values if value > 0] if logarithmic else list(values)
        low, high = min(own, default=0.0), max(own, default=1.0)
        room = 0.06 * (high - low) or 0.5 * (0.1 if logarithmic else 1)
        return cls(low - room, high + room, first, last, logarithmic)

    def place(self, value: float) -> float:
        own = math.log10(value) if self.logarithmic else value
        return self.first + (own - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self, wanted: int = 6) -> list[float]:
        """Round values, about as many as are `wanted`."""
        if self.logarithmic:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            values = [factor * 10.0**power for power in decades for factor in (1, 2, 5)]
            return [value for value in values if self.low <= math.log10(value) <= self.high]
        rough = (self.high - self.low) / wanted
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
        return [number * step for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def unescaped(text: str) -> str:
    """The text of a figure without the little HTML that Plotly reads."""
    return unescape(text.replace("<br>", ", "))


def draw_lines(figure: Plot, size: tuple[int, int] = SIZE) -> Image.Image:
    """A figure of points and lines as an RGB picture, (height, width) twice the `size`."""
    drawing, traces, layout = Canvas(*size), figure["data"], figure["layout"]
    named = [trace for trace in traces if trace.get("showlegend", True)]
    top = 14 + _legend(drawing, named, size[0] - 28)
    frame = (76.0, top + 10.0, size[0] - 18.0, size[1] - 58.0)
    x = Axis.over(_values(traces, "x"), frame[0], frame[2], logarithmic=layout["xaxis"].get("type") == "log")
    lines = [shape["y0"] for shape in layout.get("shapes", ())]
    logarithmic = layout["yaxis"].get("type") == "log"
    y = Axis.over([*_values(traces, "y"), *lines], frame[3], frame[1], logarithmic=logarithmic)
    _axes(drawing, layout, x, y, frame)
    for shape in layout.get("shapes", ()):
        height, style = y.place(shape["y0"]), shape["line"]
        drawing.line([(frame[0], height), (frame[2], height)], style["color"], style["width"], _DASHES[style["dash"]])
    for trace in traces:
        _trace(drawing, trace, x.place, y.place)
    for note in layout.get("annotations", ()):
        place = (frame[0] + 6, y.place(note["y"]) - 4)
        drawing.text(place, unescaped(note["text"]), note["font"]["color"], "ls", note["font"]["size"])
    return drawing.finish()


def _values(traces: Iterable[Plot], key: str) -> list[float]:
    """All values of the traces along one axis, the ends of their bars among them."""
    found: list[float] = []
    for trace in traces:
        values, bars = list(trace[key]), trace.get(f"error_{key}", {})
        found += values
        found += [value + bar for value, bar in zip(values, bars.get("array", ()), strict=False)]
        found += [value - bar for value, bar in zip(values, bars.get("arrayminus", ()), strict=False)]
    return found


def _legend(drawing: Canvas, traces: Sequence[Plot], width: float) -> float:
    """The names of the traces with their marks, in as many lines as they need; the height of these."""
    x, y = 14.0, 18.0
    for trace in traces:
        name = fitting(unescaped(trace["name"]), _LETTERS, 420)
        wide = 34 + drawing.length(name) + 20
        if x > 14 and x + wide > width:
            x, y = 14.0, y + _LINE
        marker = {**trace.get("marker", {}), "size": min(trace.get("marker", {}).get("size", 9), 12)}
        for mode, places in (("lines", [x, x + 24]), ("markers", [x + 12])):
            if mode in trace["mode"]:
                sample = {"mode": mode, "x": places, "y": [y] * len(places), "marker": marker}
                _trace(drawing, sample | {"line": trace.get("line", {})}, float, float)
        drawing.text((x + 34, y), name, anchor="lm")
        x += wide
    return y


def _axes(drawing: Canvas, layout: Plot, x: Axis, y: Axis, frame: tuple[float, float, float, float]) -> None:
    """Grid, ticks and titles."""
    left, top, right, bottom = frame
    across = layout["xaxis"]
    given = zip(across["tickvals"], across["ticktext"], strict=True) if "ticktext" in across else None
    free = left - 40
    for value, words in given or [(tick, f"{tick:g}") for tick in across.get("tickvals") or x.ticks(8)]:
        place, half = x.place(value), drawing.length(words) / 2
        drawing.line([(place, top), (place, bottom)], "--line")
        if place - half > free:
            drawing.text((place, bottom + 8), words, "--muted", "ma")
            free = place + half + 6
    for value in y.ticks():
        drawing.line([(left, y.place(value)), (right, y.place(value))], "--line")
        words = f"{value:.6g}{layout['yaxis'].get('ticksuffix', '')}"
        drawing.text((left - 8, y.place(value)), words, "--muted", "rm")
    drawing.text(((left + right) / 2, bottom + 48), unescaped(across["title"]["text"]), anchor="ms")
    drawing.turned((18, (top + bottom) / 2), unescaped(layout["yaxis"]["title"]["text"]), 90, centred=True)


def _trace(drawing: Canvas, trace: Plot, x: Callable[[float], float], y: Callable[[float], float]) -> None:
    """The bars, the line and the markers of a trace."""
    values = list(zip(map(x, trace["x"]), map(y, trace["y"]), strict=True))
    marker, line = trace.get("marker", {}), trace.get("line", {})
    colour = line.get("color") or marker.get("color", "--c1")
    bars = trace.get("error_y", {})
    for value, place, more, less in zip(
        trace["y"], values, bars.get("array", ()), bars.get("arrayminus", ()), strict=False
    ):
        ends = [(place[0], y(value + more)), (place[0], y(value - less))]
        drawing.line(ends, colour, 1.5)
        for across, height in ends:
            drawing.line([(across - 5, height), (across + 5, height)], colour, 1.5)
    if "lines" in trace["mode"]:
        drawing.line(values, colour, line.get("width", 2), _DASHES[line.get("dash", "solid")])
    if "markers" in trace["mode"]:
        for place in values:
            draw_marker(drawing, place, marker)


def draw_marker(drawing: Canvas, place: Place, marker: dict[str, Any]) -> None:
    """A marker by Plotly's name of its symbol."""
    symbol = marker.get("symbol", "circle")
    name, filled = symbol.removesuffix("-open"), not symbol.endswith("-open")
    radius, colour = marker.get("size", 9) / 2, marker.get("color", "")
    (x, y), width = place, marker.get("line", {}).get("width", 2)
    corners: dict[str, Sequence[Place]] = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle-up": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    }
    if name in corners:
        drawing.shape([(x + radius * a, y + radius * b) for a, b in corners[name]], colour, filled=filled, width=width)
    elif name in ("cross", "x"):
        turns = ((0, 1), (1, 0)) if name == "cross" else ((1, 1), (1, -1))
        for a, b in turns:
            drawing.line([(x - radius * a, y - radius * b), (x + radius * a, y + radius * b)], colour, 3)
    else:
        drawing.circle(place, radius, colour, filled=filled, width=width)
