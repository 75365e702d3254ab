"""Heat maps of the page as pictures, drawn with Pillow."""

from __future__ import annotations

from PIL import Image, ImageColor

from deepenough.report.plotting import Plot
from deepenough.report.raster import Canvas, colours, unescaped

_LONGEST = 150.0  # points that the names of rows and columns may take
_CELLS = 620.0  # points along one side that all cells take together


def draw_heatmap(figure: Plot) -> Image.Image:
    """A heat map of at least one row as an RGB picture, with the numbers of its cells where it has them."""
    (trace,), layout = figure["data"], figure["layout"]
    rows, columns = trace["z"], trace["z"][0]
    ticks = [
        (place, unescaped(words))
        for place, words in zip(layout["xaxis"]["tickvals"], layout["xaxis"]["ticktext"], strict=True)
    ]
    probe = Canvas(1, 1)
    margin = min(max(probe.length(words) for _, words in ticks), _LONGEST) + 14
    side = min(_CELLS / len(columns), 72.0)
    left, top, width, height = 28 + margin, 14.0, side * len(columns), side * len(rows)
    drawing = Canvas(round(left + width + 14), round(top + height + margin + 34))
    gap = min(trace.get("xgap", 0), side / 4)
    for row, shares in enumerate(rows):
        for column, share in enumerate(shares):
            x, y = left + column * side, top + row * side
            box = [(x, y), (x + side - gap, y), (x + side - gap, y + side - gap), (x, y + side - gap)]
            drawing.shape(box, shade(share / 100, trace["colorscale"]), filled=True)
            words = trace["text"][row][column] if "text" in trace else ""
            if words:
                size = min(14.0, side / 2, 0.8 * side / max(drawing.length(words, 1.0), 0.1))
                ink = "--panel" if share > 50 else "--text"
                drawing.text((x + side / 2, y + side / 2), words, ink, "mm", size)
    turned = any(drawing.length(words) > side for _, words in ticks)
    for place, words in ticks:
        middle = (place + 0.5) * side
        drawing.text((left - 8, top + middle), words, "--muted", "rm")
        if turned:
            drawing.turned((left + middle + 6, top + height + 6), words, 60, colour="--muted")
        else:
            drawing.text((left + middle, top + height + 8), words, "--muted", "ma")
    drawing.text((left + width / 2, drawing.height - 12), unescaped(layout["xaxis"]["title"]["text"]), anchor="ms")
    drawing.turned((14, top + height / 2), unescaped(layout["yaxis"]["title"]["text"]), 90, centred=True)
    return drawing.finish()


def shade(share: float, scale: list[tuple[float, str]]) -> str:
    """The colour of a share in 0..1 on a scale of (share, colour), as #rrggbb."""
    below = max((stop for stop in scale if stop[0] <= share), key=lambda stop: stop[0])
    above = min((stop for stop in scale if stop[0] >= share), key=lambda stop: stop[0])
    part = (share - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
    ends = [ImageColor.getrgb(colours().get(name, name)) for _, name in (below, above)]
    mixed = (round(a + part * (b - a)) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)
