"""Every figure: sizes and type of a paper, three formats, the same file twice, any name."""

from __future__ import annotations

import sys
import warnings
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from g2l.figures import style
from g2l.figures.results import (
    Costed,
    HoldoutCurve,
    arrow,
    context_curve,
    front,
    holdout_curves,
    receptive_fields,
)
from g2l.figures.search import (
    Scored,
    fitness_over_budget,
    fitness_over_generations,
    rate_paths,
    rates_by_stage,
)
from g2l.figures.strips import Video, strips
from g2l.figures.style import COLUMN, PAGE, save_figure, svg_element, undrawable
from g2l.records import LayerUpdate, LocalSearchUpdate
from g2l.structure import DilationStructure, LayerTopology

STRUCTURE = DilationStructure(((1, 2, 4), (1, 2)))
SHAPES = [
    Costed(name="4×10", multiply_adds=8e5, score=0.0),
    Costed(name="8,5,5", multiply_adds=4e5, score=-0.5, low=-1.2, high=0.2),
]
SCORES = [Scored(9, 5.0), Scored(19, 4.0, fresh=True)]
UPDATE = LocalSearchUpdate(
    number=1,
    step=1,
    epoch=0,
    layers={
        f"l{number}": LayerUpdate(
            rate_before=8, branches=(7, 8, 9), weights=(0.2, 0.3, 0.5), expectation=8.3, rate_after=9
        )
        for number in range(3)
    },
)
FIGURES = {
    "strips": lambda: strips([Video("v", {"prediction": np.array([0, 1])})], ["cut", "pour"]),
    "front": lambda: front(SHAPES, ["8,5,5", "4×10"], "8,5,5", "F1"),
    "arrow": lambda: arrow(*SHAPES, "F1", SHAPES),
    "curves": lambda: holdout_curves({"a": HoldoutCurve.of([[1.0, 5.0, 4.0]])}, "F1"),
    "context": lambda: context_curve([5, 29], {"F1": [1, 2]}, error=0.5, needed=1, seconds_per_frame=0.1),
    "fields": lambda: receptive_fields({"a": [(5, 5), (9, 9)]}, None),
    "rates": lambda: rates_by_stage({"a": STRUCTURE}, LayerTopology()),
    "paths": lambda: rate_paths([UPDATE], (2, 1)),
    "budget": lambda: fitness_over_budget({"a": ("random", SCORES, 9.0)}, 1, "F1"),
    "generations": lambda: fitness_over_generations([3.0, 4.0], [1.0, 2.0], 2.5, "f1"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_a_paper_and_nothing_in_it_is_below_seven_points(name, tmp_path):
    figure = FIGURES[name]()
    assert figure.get_figwidth() in (COLUMN, PAGE)
    save_figure(tmp_path / "figure.png", figure)
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    assert min(sizes) >= 7
    with matplotlib.rc_context(fname=style.STYLE):
        box, size = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.02
    assert box.y0 >= -0.02
    assert box.x1 <= size[0] + 0.02
    assert box.y1 <= size[1] + 0.02
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_the_suffix_is_the_format_and_the_same_figure_is_the_same_file(tmp_path, kind, start):
    for name in ("a", "b"):
        save_figure(tmp_path / f"{name}.{kind}", FIGURES["front"]())
    found = [(tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b")]
    assert found[0] == found[1]
    assert found[0].startswith(start)


def test_settings_of_the_user_change_no_figure(tmp_path):
    save_figure(tmp_path / "a.svg", FIGURES["arrow"]())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        save_figure(tmp_path / "b.svg", FIGURES["arrow"]())
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_an_element_of_a_page_has_its_colours_and_ids_of_its_own():
    text = svg_element(FIGURES["arrow"](), "key", "a < b", "what is seen")
    root = ElementTree.fromstring(text)
    assert root.tag == "svg"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(one.startswith("key-") for one in ids)
    assert "currentColor" in text
    assert "var(--rule)" in text
    assert style.INK not in text


@pytest.mark.parametrize("name", ["$x$", "_hidden", "倒す"])
def test_any_class_name_can_be_drawn_without_a_warning(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = strips([Video(name, {"a": np.array([0, 1])})], [name, "other"])
        save_figure(tmp_path / "v.png", figure)
    assert name in [text.get_text().partition("  ")[2] for text in figure.legends[0].get_texts()]


@pytest.fixture
def plain_fonts(monkeypatch):
    """Only the fonts that matplotlib brings."""
    folder = matplotlib.get_data_path()
    fonts = [font for font in font_manager.fontManager.ttflist if font.fname.startswith(folder)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    style.fonts.cache_clear()
    yield fonts
    style.fonts.cache_clear()


def test_another_font_draws_what_the_default_one_lacks(plain_fonts, tmp_path):
    """The double-struck italic D is in STIX, not in DejaVu Sans."""
    assert undrawable(["cut", "naïve", "a b\u200b", "拿碗", "倒す"]) == ["拿碗", "倒す"]
    character = next(
        chr(code)
        for font in plain_fonts
        if font.name == "STIXGeneral"
        for code in FT2Font(font.fname).get_charmap()
        if code > 255 and undrawable([chr(code)]) == [] and style.fonts(chr(code))[0][1:]
    )
    figure = strips([Video("v", {"a": np.array([0])})], [character])
    save_figure(tmp_path / "v.png", figure)
    families = figure.legends[0].get_texts()[0].get_fontfamily()
    assert (families[0], len(families)) == ("DejaVu Sans", 2)
