from __future__ import annotations

import warnings

import pytest
from matplotlib.figure import Figure

from g2l.inference import plots
from g2l.inference.plots import _styles, write_plot

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

    def draw(*names, **options):
        write_plot(tmp_path / "video.png", "video", *names, **({"truth": None, "classes": CLASSES} | options))
        return drawn[-1]

    return draw


def texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_as_many_classes_as_breakfast_has_look_different():
    styles = _styles(CLASSES, ())
    assert len(set(styles.values())) == len(CLASSES)


def test_background_is_pale_and_takes_no_colour_from_the_others():
    styles = _styles(["SIL", "a", "b"], ["SIL"])
    assert styles["SIL"] == (plots._BACKGROUND, "")
    assert styles["a"] == _styles(["a", "b"], ())["a"]


def test_the_legend_names_what_occurs_and_the_axis_is_in_frames(figure):
    drawn = figure(["class 3", "class 3", "class 1"])
    (axes,) = drawn.axes
    assert texts(drawn) == ["class 1", "class 3"]
    assert axes.get_xlabel() == "frames"
    assert axes.get_xlim() == (0, 3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["prediction"]


def test_the_prediction_is_above_the_truth_in_seconds(figure):
    drawn = figure(["class 1"] * 30, truth=["class 2"] * 45, fps=15.0)
    (axes,) = drawn.axes
    assert axes.get_xlabel() == "seconds"
    assert axes.get_xlim() == (0, 3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["truth", "prediction"]
    assert texts(drawn) == ["class 1", "class 2"]


def test_bars_are_where_the_segments_are(figure):
    (axes,) = figure(["class 1", "class 1", "class 2", "class 1"]).axes
    spans = [
        sorted({float(x) for x in path.vertices[:, 0]})
        for collection in axes.collections
        for path in collection.get_paths()
    ]
    assert sorted(spans) == [[0, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize("name", ["$x$", "a$", "_hidden", "倒す", "{"])
def test_any_class_name_can_be_drawn_without_a_warning(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_plot(tmp_path / "v.png", name, [name] * 3, truth=["other"] * 3, classes=[name], fps=25.0)
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")


def test_a_class_of_the_truth_that_the_model_lacks_is_drawn_too(figure):
    assert texts(figure(["class 1"], truth=["unheard of"])) == ["class 1", "unheard of"]
