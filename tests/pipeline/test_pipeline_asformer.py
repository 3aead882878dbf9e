"""The chain from search to predictions with ASFormer, whose windows move with the rates."""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from g2l.config import BackboneConfig
from g2l.inference.sessions import open_session
from g2l.models.artifact import load_model, save_model
from g2l.pipeline.context import RunContext
from g2l.pipeline.pipeline import run_pipeline
from g2l.pipeline.search_local import search_locally
from g2l.pipeline.train import train
from g2l.receptive_field import Ending
from g2l.structure import DilationStructure
from tests.pipeline.tiny_pipeline import (
    ATTENTION,
    LOCAL,
    local_task,
    pipeline_task,
    training,
)

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


def test_merged_branches_score_as_they_did_before(tmp_path, tiny):
    scores = []
    for ending in (Ending.MULTIPLE, Ending.MERGE):
        context = RunContext(folder=tmp_path / ending, device="cpu")
        task = replace(
            training(tiny, ATTENTION, epochs=1),
            branching=LOCAL.replace(ending=ending, expansion_rate=0.5),
        )
        seed = train(context, task, 0, 1).seeds[0]
        network, metadata = load_model(seed.model)
        assert [layer.feed_forward.rate for layer in network.encoder.layers] == [2, 8]
        assert metadata.layers
        scores.append((seed.holdout, seed.test["accuracy"]))
    assert scores[0] == scores[1]
