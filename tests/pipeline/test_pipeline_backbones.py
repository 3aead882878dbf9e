"""The chain from search to predictions with backbones other than the plain MS-TCN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from g2l.inference.sessions import open_session
from g2l.models.artifact import load_model
from g2l.pipeline.compose import run_pipeline
from g2l.pipeline.export import export_model
from g2l.pipeline.global_search import search_globally
from g2l.pipeline.predict import predict, require_success
from g2l.pipeline.train import train
from g2l.search_config import Strategy
from tests.pipeline.tiny_pipeline import CAUSAL, DUAL, global_task, pipeline_task, training


def ignore(plan):
    pass


def test_ms_tcn_plus_plus_goes_through_all_stages(place, tiny):
    outcome = run_pipeline(place, pipeline_task(tiny, DUAL), on_plan=ignore)
    assert outcome.contenders["hand-designed"].structure.stages == ((1, 1), (1, 2))
    searched = outcome.contenders["searched"].structure
    metadata = open_session(outcome.model, "cpu").metadata
    assert (metadata.backbone, metadata.structure) == (DUAL, searched)
    update = json.loads((place.folder / "search-local" / "journal.jsonl").read_text().splitlines()[-1])
    assert list(update["layers"]) == [
        "PG.conv_dilated_1.0",
        "PG.conv_dilated_2.0",
        "Rs.0.layers.0.conv_dilated",
        "Rs.0.layers.1.conv_dilated",
    ]
    assert [layer["rate_after"] for layer in update["layers"].values()] == list(searched.rates)
    assert len(list(outcome.predictions.glob("*.txt"))) == 3


@pytest.mark.parametrize("backbone", [CAUSAL, replace(DUAL, causal=True)], ids=lambda one: one.name)
def test_a_causal_network_is_searched_trained_exported_and_predicts(place, tiny, backbone):
    found = search_globally(place, global_task(tiny, backbone), on_plan=ignore)
    trained = train(
        replace(place, folder=place.folder / "train"),
        replace(training(tiny, backbone, epochs=1), structure=found.structure),
        [0],
    )
    network, metadata = load_model(trained.seeds[0].model)
    assert metadata.backbone == backbone
    model = place.folder / "model.onnx"
    export_model(place, network, metadata, model)
    session = open_session(model, "cpu")
    assert session.metadata == metadata
    features = torch.randn(4, 30)
    whole = torch.from_numpy(session.probabilities(features.numpy()))
    past = torch.from_numpy(session.probabilities(features[:, :11].numpy()))
    torch.testing.assert_close(whole[:, :11], past)
    predictions = replace(place, folder=place.folder / "predictions")
    videos = tiny.data_root / tiny.dataset
    require_success(predict(predictions, session, [videos / "features"], ground_truth=videos / "groundTruth"))


@pytest.mark.parametrize("strategy", [Strategy.ONE_SHOT, Strategy.INHERITANCE])
@pytest.mark.parametrize("backbone", [CAUSAL, DUAL], ids=lambda one: one.name)
def test_weights_are_shared_between_structures(place, tiny, strategy, backbone):
    task = global_task(tiny, backbone, strategy=strategy, generations=1)
    outcome = search_globally(place, task, on_plan=ignore)
    lines = [json.loads(line) for line in (place.folder / "journal.jsonl").read_text().splitlines()]
    evaluations = [line["evaluation"] for line in lines if line["event"] == "evaluation"]
    assert any("lineage" in one for one in evaluations)
    assert outcome.structure.shape == backbone.shape
