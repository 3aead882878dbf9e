from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.datasets.synthetic import lags, write_dataset
from g2l.errors import InputError
from g2l.files import read_json
from g2l.pipeline import context_curve
from g2l.pipeline.context_curve import (
    ContextTask,
    curve_of,
    measure_context,
    structures_of,
    suggest,
)
from g2l.records import RunKind, RunRecord, read_result
from g2l.structure_files import read_structure
from tests.pipeline.tiny_pipeline import RECIPE


def scores(*rows):
    """F1 of each receptive field and repeat; the other metrics follow it."""
    names = ("f1@10", "f1@25", "f1@50", "edit", "accuracy")
    return [[dict.fromkeys(names, value) for value in row] for row in rows]


def test_the_noise_is_what_receptive_fields_and_repeats_leave():
    curve = curve_of([5, 21, 85], scores([50, 60], [71, 79], [70, 80]), 0.1)
    assert [point.loss for point in curve.points] == [20, 0, 0]
    # Residuals ± (1, -1, 0) / 2 … of 2 degrees of freedom: s = 0.82, half width = t(0.95, 2) · s · √(2 / 2).
    assert curve.error == pytest.approx(2.92 * 1.155 / 2**0.5, rel=0.2)
    assert curve.needed == 1
    assert curve.words() == (
        f"Beyond ± 1 s (10 frames) nothing is gained (± {curve.error:.1f} F1); "
        "with ± 0.2 s (2 frames) you lose 20.0 F1."
    )


def test_noise_is_no_reason_for_a_short_context():
    curve = curve_of([5, 21, 85, 341], scores([49, 70], [61, 61], [70, 56], [69, 55]), None)
    assert curve.error > 10
    assert curve.needed == 2  # the best, though ± 10 frames lose little
    assert curve.words().startswith("Undecided: ± 42 frames scored best, but differences below")
    assert curve.words().endswith("Add --repeats.")


def test_bad_networks_say_nothing_of_the_noise_of_good_ones():
    good = scores([90.1, 89.9], [89.8, 90.2], [90, 90.1])
    curve = curve_of([5, 21, 85, 341], [*scores([40, 60]), *good], None)
    assert curve.error < 1
    assert curve.needed == 1


@pytest.mark.parametrize(("rise", "late"), [(2.0, False), (3.0, True)])
def test_a_loss_that_more_epochs_would_make_up_for_is_not_blamed_on_context(rise, late):
    rows = scores([50, 51], [62, 63], [70, 71])
    for one in rows[1]:
        one["rise"] = rise
    curve = curve_of([5, 21, 85], rows, None)
    assert curve.rising is late
    assert curve.words().endswith("raise --epochs." if late else "you lose 8.0 F1.")


@pytest.mark.parametrize(
    ("rows", "needed", "words"),
    [
        (
            ([70, 71.5], [70.2, 71], [69.9, 71.2]),
            0,
            "Beyond ± 2 frames nothing is gained .* the smallest context that was tried",
        ),
        (
            ([50, 51], [60, 61], [70, 71]),
            2,
            "largest context, ± 42 frames, is the best by 10.0 F1: try longer",
        ),
    ],
)
def test_either_end_is_said(rows, needed, words):
    curve = curve_of([5, 21, 85], scores(*rows), None)
    assert curve.needed == needed

    assert re.search(words, curve.words())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (([70, 71], [70, 71], [70, 71]), "all 3 structures score 70.5 points"),
        (([0.2, 0.4], [0.1, 0.3], [0.5, 0.2]), "below the floor"),
    ],
)
def test_nothing_learnt_is_no_finding(rows, words):
    curve = curve_of([5, 21, 85], scores(*rows), None)
    assert curve.words().startswith("Nothing was learnt: ")
    assert words in curve.words()
    assert curve.needed == 2  # no context is cut off on the strength of it


def test_causal_networks_see_the_past_alone():
    curve = curve_of([5, 21, 85], scores([50, 51], [71, 72], [70, 71]), 0.1, causal=True)
    assert curve.words().startswith("Beyond the last 2 s (20 frames) nothing is gained")


def test_networks_differ_in_their_caps_alone():
    task = ContextTask(data=DataConfig(dataset="x"), backbone=BackboneConfig(), recipe=RECIPE)
    found = structures_of(task, 300)
    assert [structure.stages[0][-1] for structure in found] == [1, 4, 8, 16, 64]
    assert {structure.shape for structure in found} == {(7, 7)}
    assert 300 < task.backbone.topology.receptive_field(found[-1]).frames < 2 * 300
    assert structures_of(task, 10**6)[-1].shape == (11, 11)
    dual = replace(task, backbone=BackboneConfig(name="ms-tcn++"))
    assert structures_of(dual, 16)[0].stages == ((1,) * 8, (1,) * 4)


def test_the_suggested_structure_sees_enough():
    backbone = BackboneConfig()
    assert suggest(backbone, 10).shape == (4, 2, 2)
    assert suggest(backbone, 630).shape == (8, 5, 5)
    assert backbone.topology.receptive_field(suggest(backbone, 630)).frames >= 630


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, "lag", lags(np.random.default_rng(0), (24,), videos=16, frames=128))
    return ContextTask(
        data=DataConfig(data_root=root, dataset="lag"),
        backbone=BackboneConfig(feature_maps=12, dropout=0.0),
        recipe=RecipeConfig(epochs=1, batch_size=2, learning_rate=5e-3),
        points=3,
    )


def test_an_interrupted_measurement_goes_on_with_what_is_missing(context, planted, monkeypatch):
    fit, calls = context_curve._fit, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(context_curve, "_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_context(context, planted)
    curve, suggested = measure_context(replace(context, resume=True), planted)
    assert len(calls) == 1 + 6
    assert [(point.frames - 1) // 2 for point in curve.points] == [12, 38, 126]
    assert read_structure(context.folder / "structure.json").structure == suggested
    assert RunRecord.read(context.folder).kind is RunKind.CONTEXT
    provenance = read_structure(context.folder / "structure.json").provenance
    assert (provenance["dataset"], provenance["split"]) == ("lag", 1)  # so that folds can refuse it
    result = read_result(context.folder)
    assert result["words"] == curve.words()
    assert (context.folder / "figures" / "context.svg").read_bytes().startswith(b"<?xml")
    table = read_json(context.folder / "tables" / "context.json")
    assert [row[0] for row in table["data"]] == [point.frames for point in curve.points]


def test_a_planted_lag_is_needed(context, tmp_path):
    """The class of a frame depends on the frames 24 before and after it; ± 14 does not see them."""
    write_dataset(tmp_path, "lag", lags(np.random.default_rng(0), (24,), videos=24, frames=256))
    task = ContextTask(
        data=DataConfig(data_root=tmp_path, dataset="lag"),
        backbone=BackboneConfig(feature_maps=16, dropout=0.0),
        recipe=RecipeConfig(epochs=60, batch_size=2, learning_rate=3e-3),
        points=3,
    )
    curve, _ = measure_context(context, task)
    assert [(point.frames - 1) // 2 for point in curve.points] == [14, 78, 254]
    assert curve.needed > 0
    assert curve.points[0].loss > 20


@pytest.mark.parametrize("name", ["points", "repeats"])
def test_one_of_anything_shows_nothing(context, planted, name):
    with pytest.raises(InputError, match=f"`{name}` must be >= 2, but is 1"):
        measure_context(context, replace(planted, **{name: 1}))
