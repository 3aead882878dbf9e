from __future__ import annotations

import pytest

from g2l.pipeline.figures import fitness_over_generations, rate_map, save_figure
from g2l.records import LayerUpdate, LocalSearchUpdate


def history(*rates):
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


def test_the_rate_map_shows_the_start_and_every_update():
    figure = rate_map(history({"a": (8, 9), "b": (1, 1)}, {"a": (9, 11), "b": (1, 2)}))
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == [[8, 9, 11], [1, 1, 2]]
    assert [text.get_text() for text in axes.texts] == ["8", "9", "11", "1", "1", "2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    figure.canvas.draw()


def test_a_rate_map_of_ones_is_drawn():
    rate_map(history({"a": (1, 1)})).canvas.draw()


def test_fitness_has_best_mean_and_the_hand_designed_line():
    figure = fitness_over_generations([3.0, 4.0], [1.0, 2.0], 2.5, "f1")
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[3, 4], [1, 2], [2.5, 2.5]]
    assert axes.get_ylabel() == "hold-out f1 (%)"
    figure.canvas.draw()


def test_no_window_system_is_touched():
    import sys

    rate_map(history({"a": (1, 2)}))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == pytest.approx([])


def test_a_figure_is_written_as_a_picture(tmp_path):
    save_figure(tmp_path, "rates", rate_map(history({"a": (1, 2)})))
    assert (tmp_path / "figures" / "rates.png").read_bytes().startswith(b"\x89PNG")
