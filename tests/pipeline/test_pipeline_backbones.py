"""The chain from search to predictions with backbones other than the plain MS-TCN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from g2l.config import BackboneConfig
from g2l.inference.sessions import open_session
from g2l.models.artifact import load_model, save_model
from g2l.pipeline.pipeline import run_pipeline
from g2l.pipeline.search_local import search_locally
from g2l.receptive_field import Ending
from g2l.structure import DilationStructure
from tests.pipeline.tiny_pipeline import (
    ATTENTION,
    CAUSAL,
    DUAL,
    local_task,
    pipeline_task,
)

CAUSAL_DUAL = replace(DUAL, causal=True)
LAYERS = {
    "ms-tcn": [
        f"{stage}.layers.{layer}.conv_dilated" for stage in ("stage1", "stages.0") for layer in (0, 1)
    ],
    "ms-tcn++": [
        *("PG.conv_dilated_1.0", "PG.conv_dilated_2.0"),
        *("Rs.0.layers.0.conv_dilated", "Rs.0.layers.1.conv_dilated"),
    ],
}


def variant(backbone):
    return backbone.name + (" causal" if backbone.causal else "")


@pytest.mark.parametrize("backbone", [DUAL, CAUSAL, CAUSAL_DUAL], ids=variant)
def test_a_backbone_goes_through_all_stages(context, tiny, backbone):
    outcome = run_pipeline(context, pipeline_task(tiny, backbone))
    assert outcome.contestants["hand-designed"].structure == backbone.hand_designed()
    searched = outcome.contestants["searched"].structure
    kept = outcome.contest.shipped == "hand-designed"
    shipped = backbone.hand_designed() if kept else searched
    session = open_session(outcome.model, "cpu")
    assert (session.metadata.backbone, session.metadata.structure) == (backbone, shipped)
    assert len(list(outcome.predictions.glob("*.txt"))) == 3
    # Every convolution took part in the local search, in the order of the rates.
    journal = context.folder / "search-local" / "updates.jsonl"
    first, *_, last = (json.loads(line)["layers"] for line in journal.read_text().splitlines())
    assert list(last) == LAYERS[backbone.name]
    assert [layer["rate_after"] for layer in last.values()] == list(searched.rates)
    assert first != last
    # What was exported sees as far ahead as the structure says.
    features = torch.randn(4, 30)
    changed = features.clone()
    changed[:, 20:] += 1
    one, other = (torch.from_numpy(session.probabilities(x.numpy())) for x in (features, changed))
    same = torch.isclose(one, other, atol=1e-6).all(dim=0)
    assert same[: max(0, 20 - backbone.topology.receptive_field(shipped).future)].all()
    assert not same[20:].any()


ASFORMER = BackboneConfig(name="asformer", stages=2, layers=1, feature_maps=4)


def test_it_goes_through_all_stages(context, tiny):
    outcome = run_pipeline(context, pipeline_task(tiny, ASFORMER))
    assert outcome.contestants["hand-designed"].structure == DilationStructure(((1,), (1,)))
    searched = outcome.contestants["searched"].structure
    metadata = open_session(outcome.model, "cpu").metadata
    assert (metadata.backbone, metadata.structure) == (ASFORMER, searched)
    update = json.loads((context.folder / "search-local" / "updates.jsonl").read_text().splitlines()[-1])
    assert {name: layer["rate_after"] for name, layer in update["layers"].items()} == {
        "encoder.layers.0.feed_forward.layer.0": searched.rates[0],
        "decoders.0.layers.0.feed_forward.layer.0": searched.rates[1],
    }
    network, _ = load_model(context.folder / "search-local" / "model.safetensors")
    layers = (network.encoder.layers[0], network.decoders[0].layers[0])
    assert tuple(layer.feed_forward.rate for layer in layers) == searched.rates
    assert len(list(outcome.predictions.glob("*.txt"))) == 3


def test_a_search_that_merges_writes_the_network_that_it_trained(context, tiny, monkeypatch):
    """Its windows are those of the branches, although its last update moved the rates of the structure."""
    trained = []

    def save(path, model, metadata):
        trained.append(model.eval())
        save_model(path, model, metadata)

    monkeypatch.setattr("g2l.pipeline.search_local.save_model", save)
    outcome = search_locally(
        context,
        local_task(tiny, backbone=ATTENTION, ending=Ending.MERGE, updates=3, branch_learning_rate=0.1),
    )
    loaded, metadata = load_model(outcome.model)
    windows = [layer.feed_forward.rate for layer in (*loaded.encoder.layers, *loaded.decoders[0].layers)]
    assert tuple(windows) != outcome.structure.rates == metadata.structure.rates
    features = torch.randn(2, metadata.feature_dim, 40)
    assert torch.equal(loaded(features), trained[0](features))
