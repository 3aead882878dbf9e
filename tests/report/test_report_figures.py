"""Figures and strips: what is drawn, where, and how it can be told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from g2l.config import BackboneConfig
from g2l.report.facts import BranchStep, LayerPath, RunFacts, Scored, VideoFacts
from g2l.report.figures import best_so_far, rate_paths, rates_by_stage
from g2l.report.predictions import _axis, _bars, chosen
from g2l.report.structures import structure
from g2l.structure import DilationStructure
from tests.report.generated_run import metrics

EMPTY = RunFacts(label="nothing", source="nothing", kind="predict", settings={})
ONES = DilationStructure(((1, 1),))


def video(name: str, value: float) -> VideoFacts:
    return VideoFacts(name, metrics(value), ((0, 4),), ((0, 4),))


def test_the_best_so_far_leaves_out_what_is_not_compared():
    scores = [
        Scored(ONES, 10, 50.0),
        Scored(ONES, 30, 80.0, fresh=True),
        Scored(ONES, 40, None),
        Scored(ONES, 50, 49.0),
        Scored(ONES, 60, 51.0),
    ]
    assert best_so_far(scores) == ([10, 60], [50.0, 51.0])


def test_dual_layers_have_two_lines_and_a_model_is_shown_by_itself():
    dual = BackboneConfig(name="ms-tcn++", stages=2, layers=3, prediction_layers=4)
    given = DilationStructure(((1, 2, 4, 8, 5, 5, 5, 5), (1, 2, 3)))
    blocks = structure([replace(EMPTY, kind="predict", given=given, backbone=dual)]).blocks
    reaches = blocks[0]
    assert [row[0] for row in reaches.rows] == ["hand-designed", "of the model"]
    assert [row[1] for row in reaches.rows] == ["63 frames", "59 frames"]
    figure = rates_by_stage({"of the model": given}, dual.topology)
    first, second = figure.axes
    assert [line.get_ydata().tolist() for line in first.lines] == [[1, 2, 4, 8], [5, 5, 5, 5]]
    assert [line.get_ydata().tolist() for line in second.lines] == [[1, 2, 3]]


def test_numbers_beside_paths_do_not_cover_each_other():
    step = BranchStep((1, 2, 3), (0.2, 0.5, 0.3), 2.1, 2)
    paths = [LayerPath(f"l{number}", rate, ()) for number, rate in enumerate((2, 2, 64))]
    paths = [replace(path, steps=(replace(step, rate=path.start),)) for path in paths]
    (axes,) = rate_paths(paths, (3,)).axes
    assert [text.get_text() for text in axes.texts] == ["1 2", "3"]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[2, 2], [2, 2], [64, 64]]


def test_the_best_the_median_and_the_worst_video_are_shown():
    videos = [video(name, value) for name, value in (("a", 3), ("b", 9), ("c", 5), ("d", 1), ("e", 7))]
    assert [(what, one.name) for what, one in chosen(videos)] == [
        ("best", "b"),
        ("median", "c"),
        ("worst", "d"),
    ]
    assert [(what, one.name) for what, one in chosen(videos[:1])] == [("best", "a")]
    assert [(what, one.name) for what, one in chosen(videos[:2])] == [("best", "b"), ("worst", "a")]
    assert chosen([replace(one, metrics={}) for one in videos])[0] == ("", replace(videos[0], metrics={}))


def test_bars_are_where_the_segments_are():
    first, second = _bars([(1, 30), (0, 120)], 200, ["cut", "pour"], 15.0)
    assert (first.start, first.width, first.label, first.title) == (0, 15, 1, "pour: 0.00 s to 2.00 s")
    assert (second.start, second.width, second.title) == (15, 45, "cut: 2.00 s to 8.00 s")
    assert _bars([(0, 1200)], 1200, ["cut"], None)[0].title == "cut: frame 0 to frame 1,200"


def test_of_too_many_segments_the_shortest_are_swallowed():
    ends = [end for place in range(5000) for end in (10 * place + 9, 10 * place + 10)]
    row = [(number % 2, end) for number, end in enumerate(ends)]
    bars = _bars(row, 50_000, ["cut", "pour"], None)
    assert len(bars) <= 3000
    assert sum(bar.width for bar in bars) == pytest.approx(100)


def test_ticks_are_round_and_finer_ones_appear_on_zooming():
    ticks = _axis(400.0)
    assert [text for _, text, level in ticks if level == 0] == [str(50 * place) for place in range(9)]
    assert ticks[-1] == (100.0, "400", 0)
    assert {level for _, _, level in ticks} == {0, 1, 2}
    assert [text for _, text, _ in _axis(0.9)][:3] == ["0", "0.005", "0.01"]
