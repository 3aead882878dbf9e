"""Searches and trainings that end with several branches, or with one dense kernel, in each layer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from g2l.config import DataConfig
from g2l.datasets.dataset import SegmentationDataset
from g2l.export.onnx_export import export_onnx
from g2l.files import read_json
from g2l.inference.sessions import open_session
from g2l.models.artifact import load_model
from g2l.pipeline.context import RunContext
from g2l.pipeline.pipeline import run_pipeline
from g2l.pipeline.search_local import search_locally
from g2l.pipeline.train import train
from g2l.receptive_field import Ending, branch_layers
from g2l.training.evaluate import predict_labels
from tests.pipeline.tiny_pipeline import LOCAL, STRUCTURE, local_task, pipeline_task, training

BRANCHED = [Ending.MULTIPLE, Ending.MERGE]


def branching(ending):
    return LOCAL.replace(ending=ending)


def test_the_ending_of_a_search_changes_neither_its_rates_nor_what_it_trained(tmp_path, tiny):
    found = {}
    for ending in Ending:
        context = RunContext(folder=tmp_path / ending, device="cpu")
        found[ending] = search_locally(context, local_task(tiny, ending=ending))
    assert len({outcome.structure for outcome in found.values()}) == 1
    kinds = {ending: load_model(outcome.model)[0] for ending, outcome in found.items()}
    assert not branch_layers(kinds[Ending.SINGLE])
    assert len(branch_layers(kinds[Ending.MULTIPLE])) == len(STRUCTURE.rates)
    dense = kinds[Ending.MERGE].stage1.layers[1].conv_dilated
    assert type(dense) is torch.nn.Conv1d
    assert dense.dilation == (1,)
    assert dense.kernel_size[0] > 3


@pytest.mark.parametrize("ending", BRANCHED)
def test_branches_are_trained_and_their_rates_stay(context, tiny, ending):
    seed = train(context, replace(training(tiny), branching=branching(ending)), 0, 1).seeds[0]
    model, metadata = load_model(seed.model)
    assert metadata.structure == STRUCTURE
    assert metadata.receptive_field.past > metadata.backbone.topology.receptive_field(STRUCTURE).past
    if ending is Ending.MULTIPLE:
        layers = branch_layers(model).values()
        assert tuple(layer.dilation[0] for layer in layers) == STRUCTURE.rates
        assert any(len(set(layer.alpha.tolist())) > 1 for layer in layers)
    else:
        sizes = [layer["kernel_size"] for layer in metadata.layers.values()]
        assert sizes == [[1 + 2 * furthest] for furthest in (3, 12, 6)]


def test_merged_scores_are_those_of_the_branches(tmp_path, tiny):
    scores = [
        train(
            RunContext(folder=tmp_path / ending, device="cpu"),
            replace(training(tiny, refit=False), branching=branching(ending)),
            0,
            1,
        ).seeds[0]
        for ending in BRANCHED
    ]
    assert scores[0].holdout == scores[1].holdout
    assert scores[0].test["accuracy"] == scores[1].test["accuracy"]


@pytest.mark.parametrize("ending", BRANCHED)
def test_the_file_predicts_and_exports_like_the_network(tmp_path, tiny, ending):
    context = RunContext(folder=tmp_path / "train", device="cpu")
    seed = train(context, replace(training(tiny), branching=branching(ending)), 0, 1).seeds[0]
    model, metadata = load_model(seed.model)
    export_onnx(model, metadata, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx", "cpu")
    assert session.metadata.receptive_field == metadata.receptive_field
    dataset = SegmentationDataset.open(DataConfig(data_root=tiny.data_root, dataset=tiny.dataset))
    for name in dataset.partitions(training(tiny).recipe.selection).test:
        labels = session.probabilities(dataset.load(name).features).argmax(axis=0)
        assert (labels == predict_labels(model, dataset, name, torch.device("cpu"))).all()


def test_the_pipeline_trains_what_it_found_with_branches(context, tiny):
    task = replace(pipeline_task(tiny), local_search=branching(Ending.MERGE))
    run_pipeline(context, task)
    models = {
        name: load_model(context.folder / name / "model.safetensors")[1]
        for name in ("search-local", "train-searched/seed-0", "train-hand-designed/seed-0")
    }
    assert {name for name, metadata in models.items() if metadata.layers} == {"train-searched/seed-0"}
    assert read_json(context.folder / "predictions" / "metrics.json")["videos"] == 3
