from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from g2l.figures import strips as module
from g2l.figures.strips import GROUND_TRUTH, Video, strips
from g2l.figures.style import class_styles

CLASSES = [f"class {number}" for number in range(48)]


def draw(*rows, classes=CLASSES, **options):
    """Return the figure of one video."""
    names = [GROUND_TRUTH, "prediction"] if len(rows) > 1 else ["prediction"]
    labelled = {name: np.array(row, np.int64) for name, row in zip(names, rows, strict=True)}
    figure = strips([Video("video", labelled)], classes, **options)
    figure.canvas.draw()
    return figure


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def spans(axes):
    """Return where the bars of each strip begin and end, by its row."""
    found = {}
    for collection in axes.collections:
        for path in collection.get_paths():
            x, y = path.vertices.T
            found.setdefault(round(float(y.mean())), []).append((float(x.min()), float(x.max())))
    return {row: sorted(bars) for row, bars in found.items()}


def test_classes_look_as_in_all_other_figures():
    (axes,) = draw([0, 1, 17], background=["class 0"]).axes
    drawn = {(to_hex(one.get_facecolor()[0]).upper(), one.get_hatch()) for one in axes.collections}
    looks = class_styles(CLASSES, ["class 0"])
    assert drawn == {(looks[label].color, looks[label].hatch) for label in (0, 1, 17)}


def test_the_ground_truth_is_above_the_prediction_in_seconds():
    figure = draw([2] * 45, [1] * 30, fps=15.0)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_xlim()) == ("seconds", (0, 3))
    heights = {
        label.get_text(): axes.transData.transform((0, place))[1]
        for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    assert heights[GROUND_TRUTH] > heights["prediction"]
    assert legend(figure) == ["1  class 1", "2  class 2"]
    assert spans(axes) == {0: [(0, 3)], 1: [(0, 2)]}
    assert draw([3]).axes[0].get_xlabel() == "frames"


def test_bars_are_where_the_segments_are_and_have_their_class():
    (axes,) = draw([1, 1, 2, 1]).axes
    assert spans(axes) == {0: [(0, 2), (2, 3), (3, 4)]}
    numbers = [(text.get_position(), text.get_text()) for text in axes.texts]
    assert numbers == [((1, 0), "1"), ((2.5, 0), "2"), ((3.5, 0), "1")]


def test_short_segments_keep_their_colour_instead_of_outline_hatch_and_number():
    (axes,) = draw([1] * 1000 + [47] + [1] * 999).axes
    looks = {
        float(collection.get_paths()[0].vertices[:, 0].min()): collection for collection in axes.collections
    }
    assert (looks[1000.0].get_hatch(), looks[1000.0].get_linewidth()[0]) == (None, 0)
    assert looks[0.0].get_linewidth()[0] > 0
    assert [text.get_text() for text in axes.texts] == ["1", "1"]


def test_ten_hours_are_no_more_bars_than_ten_minutes():
    (axes,) = draw(np.random.default_rng(0).integers(0, 48, 1_080_000), fps=30.0).axes
    assert axes.get_xlim() == (0, 36_000)
    (bars,) = spans(axes).values()
    assert len(bars) <= module._PARTS
    assert (bars[0][0], bars[-1][1]) == (0, pytest.approx(36_000))
