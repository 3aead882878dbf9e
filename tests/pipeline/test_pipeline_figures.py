from __future__ import annotations

import pytest

from g2l.pipeline.figures import fitness_over_cost, fitness_over_generations, rate_map
from g2l.search.tradeoff import TradeoffRow
from g2l.structure import DilationStructure


def rows(*found):
    """Rows of (cost, fitness, on the front, hand-designed)."""
    return [
        TradeoffRow(
            structure=DilationStructure(((1,),)), cost=c, fitness=f, on_front=front, hand_designed=hand
        )
        for c, f, front, hand in found
    ]


def test_the_rate_map_shows_the_start_and_every_update():
    figure = rate_map([{"a": (8, 9), "b": (1, 1)}, {"a": (9, 11), "b": (1, 2)}])
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == [[8, 9, 11], [1, 1, 2]]
    assert [text.get_text() for text in axes.texts] == ["8", "9", "11", "1", "1", "2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    figure.canvas.draw()


def test_a_rate_map_of_ones_is_drawn():
    rate_map([{"a": (1, 1)}]).canvas.draw()


def test_fitness_has_best_mean_and_the_hand_designed_line():
    figure = fitness_over_generations([3.0, 4.0], [1.0, 2.0], 2.5, "f1")
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[3, 4], [1, 2], [2.5, 2.5]]
    assert axes.get_ylabel() == "hold-out f1 (%)"
    figure.canvas.draw()


def test_the_tradeoff_marks_front_and_hand_designed():
    figure = fitness_over_cost(
        rows((1, 40, True, False), (2, 30, False, True), (3, 50, True, False)), "f1", "look-ahead (frames)"
    )
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[40, 50]]
    dominated, marked = (points.get_offsets().tolist() for points in axes.collections)
    assert dominated == marked == [[2, 30]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("look-ahead (frames)", "hold-out f1 (%)")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["dominated", "front (2)", "hand-designed 2^l"]
    assert axes.get_xscale() == "linear"
    figure.canvas.draw()


def test_costs_of_several_sizes_are_drawn_on_a_logarithmic_axis():
    figure = fitness_over_cost(rows((10, 40, True, True), (400, 50, True, False)), "f1", "c")
    assert figure.axes[0].get_xscale() == "log"
    figure.canvas.draw()


def test_a_front_of_one_that_is_hand_designed_is_drawn():
    fitness_over_cost(rows((0.0, 0.0, True, True)), "f1", "c").canvas.draw()


def test_no_window_system_is_touched():
    import sys

    rate_map([{"a": (1, 2)}])
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == pytest.approx([])
