"""Limits, from settings to structure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from g2l.errors import InputError
from g2l.files import read_json
from g2l.pipeline.pipeline import run_pipeline
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.pipeline.search_local import search_locally
from g2l.structure import DilationStructure
from g2l.structure_files import read_structure
from tests.pipeline.tiny_pipeline import BACKBONE, global_task, local_task, pipeline_task


def search(context, task):
    return search_globally(context, prepare_search(context.data, task))


def test_every_structure_keeps_to_the_limit(context, tiny):
    outcome = search(context, global_task(tiny, max_receptive_field=13))
    assert BACKBONE.topology.receptive_field(outcome.structure).frames <= 13
    assert read_structure(context.folder / "structure.json").structure == outcome.structure
    for leader in outcome.leaders:
        assert BACKBONE.topology.receptive_field(leader.structure).frames <= 13
        assert BACKBONE.topology.receptive_field(leader.structure).future <= 6


@pytest.mark.parametrize("stage", ["global", "local"])
def test_a_structure_is_said_to_be_causal(context, tiny, stage):
    backbone = BACKBONE.replace(causal=True)
    if stage == "global":
        outcome = search(context, global_task(tiny, backbone=backbone, max_look_ahead=0))
        row = read_json(context.folder / "result.json")["leaders"][0]
        structure = DilationStructure(tuple(map(tuple, row["structure"])))
        assert (row["receptive_field"], row["look_ahead"]) == (1 + 2 * sum(structure.rates), 0)
    else:
        outcome = search_locally(context, replace(local_task(tiny), backbone=backbone))
    found = read_structure(context.folder / "structure.json")
    assert (found.structure, found.backbone, found.causal) == (outcome.structure, "ms-tcn", True)


@pytest.mark.parametrize("limit", ["max_receptive_field", "max_look_ahead"])
def test_a_network_that_sees_the_whole_video_keeps_no_limit(context, tiny, limit):
    backbone = BACKBONE.replace(name="asformer")
    coarse, fine = global_task(tiny, backbone=backbone, **{limit: 99}), local_task(tiny, **{limit: 99})
    message = f"`{limit}` cannot be kept by asformer, whose normalisation sees the whole video."
    for call in (
        lambda: search(context, coarse),
        lambda: prepare_search(context.data, coarse),
        lambda: search_locally(context, replace(fine, backbone=backbone)),
        lambda: run_pipeline(
            context,
            replace(pipeline_task(tiny), backbone=backbone, local_search=fine.search),
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert not context.folder.exists()


def test_a_limit_that_nothing_keeps_is_refused(context, tiny):
    with pytest.raises(
        InputError, match="`max_receptive_field` must be >= 9 frames, what 4 layers of rate 1"
    ):
        search(context, global_task(tiny, max_receptive_field=3))
    with pytest.raises(
        InputError, match="`max_look_ahead` must be >= 3 frames, what 3 layers of rate 1 have"
    ):
        search_locally(context, local_task(tiny, max_look_ahead=2))
