from __future__ import annotations

import warnings
from collections import Counter

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from g2l.inference import plots
from g2l.inference.plots import _columns, undrawable, write_plot
from g2l.palette import styles

CLASSES = [f"class {number}" for number in range(48)]


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws, and returns the figure that was saved."""
    drawn = []

    def save(figure, path, **options):
        drawn.append(figure)
        figure.canvas.draw()
        path.write_bytes(b"png")

    monkeypatch.setattr(Figure, "savefig", save)

    def draw(predicted, *, truth=None, **options):
        truth = None if truth is None else np.array(truth, np.int64)
        predicted = np.array(predicted, np.int64)
        write_plot(tmp_path / "v.png", "video", predicted, truth=truth, **({"classes": CLASSES} | options))
        return drawn[-1]

    return draw


def texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def spans(axes):
    """Return where the bars of each strip begin and end, by its row."""
    found = {}
    for collection in axes.collections:
        for path in collection.get_paths():
            x, y = path.vertices.T
            found.setdefault(round(float(y.mean())), []).append((float(x.min()), float(x.max())))
    return {row: sorted(bars) for row, bars in found.items()}


def test_classes_look_as_in_all_other_pictures(figure):
    (axes,) = figure([0, 1, 17], classes=CLASSES, background=["class 0"]).axes
    looks = styles(CLASSES, ["class 0"])
    drawn = {
        (to_hex(each.get_facecolor()[0]).upper(), each.get_hatch())
        for each in axes.collections
        if each.get_paths()
    }
    expected = {(looks[label].color, plots._HATCHES[looks[label].pattern]) for label in (0, 1, 17)}
    assert drawn == expected


def test_the_legend_names_and_numbers_what_occurs_and_the_axis_is_in_frames(figure):
    drawn = figure([3, 3, 1])
    (axes,) = drawn.axes
    assert texts(drawn) == ["1  class 1", "3  class 3"]
    assert axes.get_xlabel() == "frames"
    assert axes.get_xlim() == (0, 3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["prediction"]


def test_the_prediction_is_above_the_truth_in_seconds(figure):
    drawn = figure([1] * 30, truth=[2] * 45, fps=15.0)
    (axes,) = drawn.axes
    assert axes.get_xlabel() == "seconds"
    assert axes.get_xlim() == (0, 3)
    heights = {
        label.get_text(): axes.transData.transform((0, place))[1]
        for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    assert heights["prediction"] > heights["truth"]
    assert texts(drawn) == ["1  class 1", "2  class 2"]
    assert spans(axes) == {0: [(0, 2)], 1: [(0, 3)]}


def test_bars_are_where_the_segments_are_and_say_their_class(figure):
    (axes,) = figure([1, 1, 2, 1]).axes
    assert spans(axes) == {0: [(0, 2), (2, 3), (3, 4)]}
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [
        ((1, 0), "1"),
        ((2.5, 0), "2"),
        ((3.5, 0), "1"),
    ]


def test_short_segments_keep_their_colour_instead_of_outline_hatch_and_number(figure):
    (axes,) = figure([1] * 1000 + [47] + [1] * 999).axes
    looks = {
        bars[0]: (collection.get_hatch(), collection.get_linewidth()[0])
        for collection in axes.collections
        for bars in [
            [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in collection.get_paths()]
        ]
        if bars
    }
    assert looks[1000, 1001] == (None, 0)
    assert looks[0, 1000][1] > 0
    assert [text.get_text() for text in axes.texts] == ["1", "1"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 900)), min_size=1, max_size=12))
def test_a_long_video_is_drawn_in_parts_by_their_most_frequent_class(runs):
    labels = np.repeat([label for label, _ in runs], [length for _, length in runs])
    parts = _columns(labels)
    if len(labels) <= plots._COLUMNS:
        assert parts is labels
        return
    assert len(parts) == plots._COLUMNS
    owner = [frame * plots._COLUMNS // len(labels) for frame in range(len(labels))]
    for part in (0, 777, plots._COLUMNS - 1):
        counts = Counter(
            label for label, column in zip(labels.tolist(), owner, strict=True) if column == part
        )
        assert counts[parts[part]] == max(counts.values())


@pytest.mark.parametrize("name", ["$x$", "a$", "_hidden", "倒す", "{"])
def test_any_class_name_can_be_drawn_without_a_warning(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path, labels = tmp_path / "v.png", np.zeros(3, np.int64)
        write_plot(path, name, labels, truth=labels + 1, classes=[name, "other"], fps=25.0)
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")


def test_names_in_a_script_without_a_font_are_known(monkeypatch):
    assert undrawable(["cut", "na\u00efve", "a b\u200b"]) == []
    monkeypatch.setattr(font_manager.fontManager, "ttflist", of_matplotlib())
    plots._fonts.cache_clear()
    assert undrawable(["cut", "\u62ff\u7897", "\u5012\u3059"]) == ["\u62ff\u7897", "\u5012\u3059"]
    plots._fonts.cache_clear()


def of_matplotlib():
    folder = matplotlib.get_data_path()
    return [font for font in font_manager.fontManager.ttflist if font.fname.startswith(folder)]


def test_another_font_draws_what_the_default_one_lacks(figure, monkeypatch):
    """The double-struck italic D is in STIX, not in DejaVu Sans."""
    monkeypatch.setattr(font_manager.fontManager, "ttflist", of_matplotlib())
    plots._fonts.cache_clear()
    character = next(
        chr(code)
        for font in of_matplotlib()
        if font.name == "STIXGeneral"
        for code in FT2Font(font.fname).get_charmap()
        if code > 255 and undrawable([chr(code)]) == [] and plots._fonts(chr(code))[0][1:]
    )
    drawn = figure([0, 1], classes=["cut", character])
    families = drawn.legends[0].get_texts()[1].get_fontfamily()
    assert families[0] == "DejaVu Sans"
    assert len(families) == 2
    plots._fonts.cache_clear()
