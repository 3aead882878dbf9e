from __future__ import annotations

import json

import pytest

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.pipeline import objectives
from g2l.pipeline.objectives import StructureCost
from g2l.search.space import SearchSpace
from g2l.search_config import SecondObjective
from g2l.structure import DilationStructure, LayerTopology

BACKBONE = BackboneConfig(stages=1, layers=3, feature_maps=4)
SPACE = SearchSpace(LayerTopology.serial((3,)), (1, 2, 4, 8))
SMALL, LARGE = DilationStructure(((1, 1, 1),)), DilationStructure(((8, 8, 8),))


def cost_of(objective, tmp_path, space=SPACE, **changes):
    return StructureCost(
        objective,
        BACKBONE.replace(**changes),
        space,
        feature_dim=6,
        num_classes=3,
        frames=30,
        memory=tmp_path / "latencies.json",
    )


class Clock:
    """A latency meter that tells what it is told to."""

    def __init__(self, milliseconds):
        self.milliseconds, self.calls = milliseconds, []

    def measure(self, structure):
        self.calls.append(structure)
        count = self.calls.count(structure) - 1
        return objectives_latency(self.milliseconds(structure, count))


def objectives_latency(milliseconds):
    from g2l.export.latency import Latency

    return Latency(milliseconds, 0.0)


@pytest.fixture
def clocked(tmp_path, monkeypatch):
    def make(milliseconds):
        clock = Clock(milliseconds)
        monkeypatch.setattr(objectives, "RewritableExport", lambda *args, **options: None)
        monkeypatch.setattr(objectives, "LatencyMeter", lambda *args, **options: clock)
        return cost_of(SecondObjective.LATENCY, tmp_path), clock

    return make


def test_frames_come_from_the_structure(tmp_path):
    field = cost_of(SecondObjective.RECEPTIVE_FIELD, tmp_path)
    ahead = cost_of(SecondObjective.LOOK_AHEAD, tmp_path)
    assert (field(LARGE), ahead(LARGE)) == (49, 24)
    assert field.remark is ahead.remark is None
    assert (field.label, ahead.label) == ("receptive field (frames)", "look-ahead (frames)")


@pytest.mark.parametrize(
    ("changes", "objective", "value"),
    [
        ({"name": "asformer"}, "receptive-field", 30),
        ({"name": "asformer"}, "look-ahead", 29),
        ({"causal": True}, "look-ahead", 0),
    ],
)
def test_where_all_structures_see_as_far_there_is_a_front_of_one(tmp_path, changes, objective, value):
    cost = cost_of(SecondObjective(objective), tmp_path, **changes)
    assert cost(SMALL) == cost(LARGE) == value
    label = objective.replace("receptive-", "receptive ")
    message = f"all structures have the same {label} (frames), {value}: a front by {objective} has one member"
    assert cost.remark.startswith(message)


@pytest.mark.parametrize(("objective", "value"), [("parameters", 259.0), ("flops", 30 * 2 * 228.0)])
def test_what_rates_do_not_change_makes_a_front_of_one_and_is_said(tmp_path, objective, value):
    cost = cost_of(SecondObjective(objective), tmp_path)
    assert cost(SMALL) == cost(LARGE) == value
    assert f"{value:,.6g}: a front by {objective} has one member, the fittest structure." in cost.remark
    assert not list(tmp_path.iterdir())


def test_latency_that_rates_change_is_kept_for_a_resumed_search(clocked, tmp_path):
    cost, clock = clocked(lambda structure, count: sum(structure.rates) + (0.0, 0.1, 0.5, 0.1, 0.0)[count])
    assert cost.remark is None
    assert cost(LARGE) == 24.0  # rounded to the noise, 0.5
    assert cost(DilationStructure(((1, 2, 8),))) == 11.0
    assert len(clock.calls) == 3 * 5 + 1
    assert clock.calls[:3] == clock.calls[3:6]  # in turns, so that a slow moment hits all

    again, other = clocked(lambda structure, count: pytest.fail("measured again"))
    assert again(LARGE) == 24.0
    assert again(DilationStructure(((1, 2, 8),))) == 11.0
    assert again.remark is None
    assert not other.calls
    assert json.loads((tmp_path / "latencies.json").read_text())["1,2,8"] == [11.0]


def test_latency_that_is_noise_is_one_cost_and_is_said(clocked):
    cost, clock = clocked(lambda structure, count: 5.0 + count + 0.01 * sum(structure.rates))
    assert cost(SMALL) == cost(LARGE) == cost(DilationStructure(((1, 2, 8),)))
    assert len(clock.calls) == 15
    assert "is 5.03 to 9.24 whatever the rates, which is the noise of measuring" in cost.remark


def test_a_real_latency_is_measured(tmp_path):
    cost = cost_of(SecondObjective.LATENCY, tmp_path)
    assert cost(LARGE) > 0
    assert cost.label == "latency of 30 frames (ms)"
    assert set(json.loads((tmp_path / "latencies.json").read_text())) == {"1,1,1", "8,8,8", "1,2,4"}


def test_limits_of_the_space_are_kept_to(tmp_path):
    space = SearchSpace(LayerTopology.serial((3,)), (1, 2, 4, 8), max_look_ahead=3)
    cost = cost_of(SecondObjective.RECEPTIVE_FIELD, tmp_path, space)
    assert cost.remark.startswith("all structures have the same receptive field (frames), 7: a front by")


@pytest.mark.parametrize("text", ["[]", '{"1,1,1": 3}', '{"1,1,1": []}', '{"1,1,1": ["x"]}'])
def test_a_damaged_memory_is_named(tmp_path, text):
    (tmp_path / "latencies.json").write_text(text)
    with pytest.raises(InputError, match=r"latencies.json: expected a list of milliseconds for each"):
        cost_of(SecondObjective.LATENCY, tmp_path)


def test_an_unknown_device_is_refused(tmp_path):
    with pytest.raises(InputError, match="`device` must be one of"):
        StructureCost(
            SecondObjective.LATENCY, BACKBONE, SPACE, feature_dim=6, num_classes=3, frames=3,
            memory=tmp_path / "m", device="moon",
        )  # fmt: skip
