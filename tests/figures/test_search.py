from __future__ import annotations

from g2l.config import BackboneConfig
from g2l.figures.search import (
    Scored,
    best_so_far,
    fitness_over_budget,
    rate_paths,
    rates_by_stage,
)
from g2l.records import LayerUpdate, LocalSearchUpdate
from g2l.structure import DilationStructure


def updates(*rates):
    """Return updates: for each, by layer, the rate before and after it."""
    return [
        LocalSearchUpdate(
            number=number,
            step=number,
            epoch=0,
            layers={
                name: LayerUpdate(
                    rate_before=before, branches=(before,), weights=(1.0,), expectation=1.0, rate_after=after
                )
                for name, (before, after) in layers.items()
            },
        )
        for number, layers in enumerate(rates, start=1)
    ]


def paths(axes):
    return [line.get_ydata().tolist() for line in axes.lines]


def test_the_best_so_far_leaves_out_what_is_not_compared():
    scores = [
        Scored(10, 50.0),
        Scored(30, 80.0, fresh=True),
        Scored(40, None),
        Scored(50, 49.0),
        Scored(60, 51.0),
    ]
    assert best_so_far(scores) == ([10, 60], [50.0, 51.0])


def test_failed_candidates_and_outliers_do_not_stretch_the_axis():
    scores = [Scored(10 * number, 60.0 + number % 3) for number in range(1, 60)]
    scores += [Scored(600, 2.0), Scored(610, None)]
    (axes,) = fitness_over_budget({"a": ("genetic", scores, 100.0)}, None, "F1").axes
    assert axes.get_ylim()[0] > 55
    best = next(line for line in axes.lines if line.get_label() == "best so far (genetic)")
    assert (best.get_xdata()[-1], best.get_ydata()[-1]) == (6.1, 62.0)


def test_dual_layers_have_two_lines():
    dual = BackboneConfig(name="ms-tcn++", stages=2, layers=3, prediction_layers=4)
    given = DilationStructure(((1, 2, 4, 8, 5, 5, 5, 5), (1, 2, 3)))
    first, second = rates_by_stage({"of the model": given}, dual.topology).axes
    assert paths(first) == [[1, 2, 4, 8], [5, 5, 5, 5]]
    assert paths(second) == [[1, 2, 3]]


def test_paths_begin_at_the_start_and_have_the_numbers_of_their_layers():
    history = updates({"a": (2, 2), "b": (2, 2), "c": (64, 70)}, {"a": (2, 2), "b": (2, 2), "c": (70, 64)})
    (axes,) = rate_paths(history, (3,)).axes
    assert paths(axes) == [[2, 2, 2], [2, 2, 2], [64, 70, 64]]
    assert [text.get_text() for text in axes.texts] == ["1 2", "3"]
    first, second = rate_paths(history, (2, 1)).axes
    assert (len(paths(first)), len(paths(second))) == (2, 1)
    assert len(rate_paths(history, (9,)).axes) == 1
