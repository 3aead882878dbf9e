"""Stages killed and resumed while they are mirrored: a few of those that `killed_runs` kills by hand."""

from __future__ import annotations

import pytest

from tests.tracking.killed_runs import KilledRuns


@pytest.fixture(scope="module")
def runs(tmp_path_factory, empty_store):
    return KilledRuns(tmp_path_factory.mktemp("killed"), empty_store)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", ["train", "predict", "search-local"])
def test_a_killed_stage_ends_like_an_undisturbed_one(runs, workdir, stage):
    runs.expected(stage)
    _, different = runs.killed(stage, f"{stage}-killed", [0.7, 0.4])
    assert different == []
