"""A run where Python shows it: pictures that say what the figures say, a page to open, an answer in a notebook."""

from __future__ import annotations

import io
import re
import sys
import webbrowser
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor
from seen_page import Seen, english_left

from deepenough.errors import DeepenoughError
from deepenough.language import Language, current_language
from deepenough.preprocessing import Preprocessing
from deepenough.record import Record
from deepenough.report import write_report
from deepenough.report.figures import report_figures
from deepenough.report.raster import Axis, Canvas, colours, draw_lines
from deepenough.report.raster_heatmap import draw_heatmap, shade
from deepenough.report.shown import Report, summary_html
from deepenough.report.shown_model import LISTED_CLASSES, ModelFacts, ModelSize, model_html

EVIL = "</script><script>alert(1)</script>"
Make = Callable[..., Record]


def pixels_of(picture: Image.Image, colour: str) -> np.ndarray[Any, Any]:
    """Rows and columns of the pixels of a colour of the page."""
    return np.argwhere((np.asarray(picture) == ImageColor.getrgb(colours()[colour])).all(axis=2))


def test_the_points_lie_where_the_axes_have_them() -> None:
    trace = {"mode": "markers", "name": "a", "x": [4, 8, 16], "y": [80.0, 90.0, 100.0], "showlegend": False,
             "marker": {"color": "--c2", "size": 12}}  # fmt: skip
    layout = {"xaxis": {"title": {"text": "depth"}, "type": "log"}, "yaxis": {"title": {"text": "accuracy"}}}
    found = pixels_of(draw_lines({"data": [trace], "layout": layout}), "--c2")
    columns, rows = np.unique(found[:, 1]), np.unique(found[:, 0])
    middles = [
        [part.mean() for part in np.split(line, np.flatnonzero(np.diff(line) > 1) + 1)] for line in (columns, rows)
    ]
    assert [len(each) for each in middles] == [3, 3]
    for ends in middles:  # even steps of the logarithm along one side, and of the value along the other
        assert ends[1] == pytest.approx((ends[0] + ends[2]) / 2, abs=1.5)


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=20), st.booleans())
def test_every_value_and_tick_lies_within_its_axis(values: list[float], logarithmic: bool) -> None:
    axis = Axis.over(values, 10, 500, logarithmic=logarithmic)
    for value in (*values, *axis.ticks()):
        assert 10 - 1e-6 <= axis.place(value) <= 500 + 1e-6


@pytest.mark.parametrize("folds", [1, 3])
def test_every_figure_of_lines_can_be_drawn(make: Make, folds: int) -> None:
    figures = report_figures(make(0.92, folds=folds))
    for name in ("accuracy", "curves", "losses"):
        picture = draw_lines(figures[name], (300, 200))
        assert picture.size == (600, 400)
        assert len(pixels_of(picture, "--c1")) > 50, name


def test_the_line_of_the_target_is_dashed_across_the_figure(make: Make) -> None:
    picture = draw_lines(report_figures(make(0.92))["accuracy"])
    rows, counts = np.unique(pixels_of(picture, "--muted")[:, 0], return_counts=True)
    assert counts.max() > 0.4 * picture.width, rows[counts.argmax()]


def test_a_cell_is_as_dark_as_its_share_of_the_class(make: Make) -> None:
    record = make()
    figure = report_figures(record)["confusion"]
    picture = draw_heatmap(figure)
    assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 10
    scale = figure["data"][0]["colorscale"]
    light = [sum(ImageColor.getrgb(shade(share, scale))) for share in np.linspace(0.02, 1, 20)]
    assert light == sorted(light, reverse=True)
    assert [shade(share, scale) for share in (0, 0.02, 1)] == [
        "#%02x%02x%02x" % ImageColor.getrgb(colours()[name])  # noqa: UP031
        for name in ("--panel", "--heat1", "--heat2")
    ]


def test_many_long_names_of_classes_fit(make: Make) -> None:
    names = [f"a class with a very long name, number {number}" for number in range(60)]
    assert max(draw_heatmap(report_figures(make(classes=names))["confusion"]).size) < 2_000


def test_turned_words_stay_on_the_picture() -> None:
    drawing = Canvas(100, 100)
    drawing.turned((90, 10), "words", 60)
    assert np.asarray(drawing.finish()).min() < 128


def test_the_summary_has_the_answer_the_table_and_the_curve(make: Make, tmp_path: Path) -> None:
    record = make(0.92)
    text = summary_html(record, tmp_path)
    assert record.decision
    assert record.decision.text[1:] in text
    for candidate in record.candidates:
        assert f">{candidate.name}<" in text
    (picture,) = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)
    assert Image.open(io.BytesIO(b64decode(picture))).size == (1440, 840)
    assert f'href="{tmp_path}/report.html"' in text


@pytest.mark.parametrize("target", [None, 0.92])
@pytest.mark.parametrize("folds", [1, 5])
def test_the_summary_in_chinese_has_the_same_numbers_and_no_english(
    make: Make, tmp_path: Path, target: float | None, folds: int
) -> None:
    record = make(target, folds=folds)
    assert record.decision
    english, chinese = (Seen(summary_html(record, tmp_path, language)) for language in ("en", "zh"))
    assert {language for language, _ in english.texts} == {"en"}
    assert {language for language, _ in chinese.texts} == {"zh-Hans"}
    names = [str(tmp_path / "report.html"), *(candidate.name for candidate in record.candidates)]
    assert english_left(chinese, names) == []
    tables = [
        [text for _, text in seen.texts if re.fullmatch(r"[\d.,%–]+[kMGT]?", text)] for seen in (english, chinese)
    ]
    assert len(tables[0]) == 5 * len(record.candidates)
    assert tables[0] == tables[1]


def test_the_summary_is_in_the_language_of_the_run_or_else_of_the_locale(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(asked: str | None) -> str:
        record = make()
        record.options = {"language": asked}
        (found,) = re.findall(r'<div lang="([\w-]+)"', summary_html(record, tmp_path))
        return str(found)

    assert [tag(None), tag("zh"), tag("en")] == ["en", "zh-Hans", "en"]
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert [tag(None), tag("zh"), tag("en")] == ["zh-Hans", "zh-Hans", "en"]
    assert current_language() is Language.ENGLISH


def test_the_curve_of_a_summary_is_in_english_where_no_font_has_chinese(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curve(language: str) -> str:
        (found,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", summary_html(make(), tmp_path, language))
        return str(found)

    monkeypatch.setattr("deepenough.report.shown.can_draw", lambda text: text.isascii())
    assert curve("zh") == curve("en")


def test_the_summary_shows_names_as_they_are(make: Make, tmp_path: Path) -> None:
    record = make()
    record.candidates[0].name = EVIL
    record.decision = None
    assert EVIL not in summary_html(record, tmp_path)


@pytest.mark.parametrize("device", ["cpu", None])
@pytest.mark.parametrize("shorter", [None, 36])
def test_a_model_is_shown_in_the_language_of_the_locale(
    monkeypatch: pytest.MonkeyPatch, device: str | None, shorter: int | None
) -> None:
    classes = ["<b>", *map(str, range(LISTED_CLASSES))]
    model = ModelFacts(
        name="residual-7",
        shape=(3, 32, 32),
        preprocess=Preprocessing((32, 32), shorter=shorter),
        classes=classes,
        engine="ONNX Runtime 1.18",
        device=device,
        size=ModelSize(7, 12_345, 678_901),
    )
    english = model_html(model)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    chinese = model_html(model)
    assert (Seen(english).texts[0][0], Seen(chinese).texts[0][0]) == ("en", "zh-Hans")
    names = ["residual-7", "cpu", "ONNX Runtime 1.18", "<b>"]
    assert english_left(Seen(chinese), names) == []
    assert "7 weighted layers" in english
    assert "7 个带权重的层" in chinese
    assert model.where == ("on cpu" if device else "by ONNX Runtime 1.18")
    assert f">{model.where}</td>" in english
    for text in (english, chinese):
        assert "3 × 32 × 32" in text
        assert "12,345" in text
        assert "678,901" in text
        assert "&lt;b&gt;" in text
        assert "…" in text
        assert str(LISTED_CLASSES - 1) not in text
    assert current_language() is Language.ENGLISH


def test_a_report_of_a_folder_below_is_linked_from_here(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert 'href="runs/a/report.html"' in summary_html(make(), tmp_path / "runs" / "a")
    assert 'href="runs/a/report.html"' in summary_html(make(), Path("runs/a"))


def test_a_report_is_a_path_that_opens_in_the_browser(
    make: Make, save: Callable[[Record], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    report = Report(write_report(save(make())))
    assert Path(report).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert f"{report}" == str(report.path)
    report.show()
    assert opened == [report.path.as_uri()]
    with pytest.raises(DeepenoughError, match="there is no such page"):
        Report(report.path.with_name("other.html")).show()


def test_a_report_is_shown_below_the_cell_of_a_notebook(
    make: Make, save: Callable[[Record], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    display = SimpleNamespace(HTML=str, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", display)  # type: ignore[arg-type]
    Report(write_report(save(make()))).show(height=300)
    (frame,) = shown
    assert "height:300px" in frame
    assert "<script" not in frame  # the page stands in the frame's attribute, escaped
