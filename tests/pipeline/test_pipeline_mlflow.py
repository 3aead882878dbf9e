"""The pipeline as MLflow shows it afterwards: through the real tracker, on a SQLite store."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from g2l.datasets.dataset import SegmentationDataset
from g2l.inference.sessions import open_session
from g2l.pipeline.compose import run_pipeline
from g2l.pipeline.stage import Workplace
from g2l.tracking.environment import load_mlflow
from g2l.tracking.mlflow_tracker import MlflowTracker
from tests.pipeline.test_pipeline_local_search import LAYERS
from tests.pipeline.tiny_pipeline import LOCAL, pipeline_task


class Store:
    """What a finished pipeline left in MLflow."""

    def __init__(self, client, runs, outcome):
        self.client = client
        self.runs = runs
        self.outcome = outcome

    def of_kind(self, kind):
        return [run for run in self.runs.values() if run.data.tags["g2l.kind"] == kind]

    def only(self, kind):
        (run,) = self.of_kind(kind)
        return run

    def children(self, run):
        parent = "mlflow.parentRunId"
        return [child for child in self.runs.values() if child.data.tags.get(parent) == run.info.run_id]

    def artifacts(self, run, folder=None):
        return {entry.path for entry in self.client.list_artifacts(run.info.run_id, folder)}

    def series(self, run, metric):
        history = self.client.get_metric_history(run.info.run_id, metric)
        return {entry.step: entry.value for entry in history}


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory):
    """Runs the pipeline once, as a user would: killed by Ctrl-C in the export, then resumed to the end."""
    folder = tmp_path_factory.mktemp("tracked")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    task = pipeline_task(tiny)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_") and "HTTP" not in name]:
            patch.delenv(name)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.chdir(folder)
        place = Workplace(folder=folder / "out", tracker=MlflowTracker(folder / "spool"), device="cpu")
        with patch.context() as broken:
            broken.setattr("g2l.pipeline.compose.load_model", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run_pipeline(place, task, on_plan=lambda plan: None)
        assert place.tracker.close() is None
        place = replace(place, tracker=MlflowTracker(folder / "spool"), resume=True)
        outcome = run_pipeline(place, task, on_plan=lambda plan: None)
        assert place.tracker.close() is None
        client = load_mlflow().MlflowClient(tracking_uri=uri)
        (experiment,) = client.search_experiments(filter_string="name = 'g2l'")
        runs = client.search_runs([experiment.experiment_id], max_results=200)
        yield Store(client, {run.info.run_id: run for run in runs}, outcome)


def interrupt(*args, **options):
    raise KeyboardInterrupt


def test_stages_are_below_the_pipeline_and_candidates_and_seeds_below_stages(store):
    root = store.only("pipeline")
    assert root.info.run_id == store.outcome.run_id
    assert "mlflow.parentRunId" not in root.data.tags
    stages = Counter(run.data.tags["g2l.kind"] for run in store.children(root))
    assert stages == {"search-global": 1, "search-local": 1, "train": 2, "export": 1, "predict": 1}
    for train in store.of_kind("train"):
        assert [run.data.tags["g2l.kind"] for run in store.children(train)] == ["seed"]
    candidates = store.children(store.only("search-global"))
    assert len(candidates) == len(store.of_kind("candidate")) > 3
    assert {run.info.status for run in store.runs.values()} == {"FINISHED"}
    assert not any("g2l.reason" in run.data.tags for run in store.runs.values())


def test_every_candidate_has_its_structure_metrics_and_weights(store):
    for run in store.of_kind("candidate"):
        assert run.data.params["structure"].count("/") == 1
        assert run.data.tags["g2l.budget"] == "4 steps"
        metrics = {"holdout/accuracy", "holdout/edit", "holdout/f1_at_10", "fitness", "seconds"}
        assert metrics <= run.data.metrics.keys()
        assert store.artifacts(run) == {"structure.json", "model.safetensors"}
    structures = [run.data.params["structure"] for run in store.of_kind("candidate")]
    assert len(set(structures)) == len(structures)


def test_each_update_of_the_local_search_has_its_rates(store):
    run = store.only("search-local")
    for layer in LAYERS:
        assert set(store.series(run, f"rate/{layer}")) == set(range(1, LOCAL.updates + 1))
    structure = store.outcome.contenders["searched"].structure
    assert [run.data.metrics[f"rate/{layer}"] for layer in LAYERS] == list(structure.rates)
    assert {"rates.png", "updates.json", "journal.jsonl", "last.ckpt"} <= store.artifacts(run)


def test_generations_seeds_and_results_are_there(store):
    search = store.only("search-global")
    assert set(store.series(search, "generation/best")) == {0, 1, 2}
    assert len(store.artifacts(search, "population")) == 3
    for run in store.of_kind("seed"):
        assert {"model.safetensors", "last.ckpt", "metrics.json"} <= store.artifacts(run)
        assert set(store.series(run, "train/loss")) == {1, 2, 3}
        assert run.data.params["data.dataset"] == "tiny"
    root = store.only("pipeline")
    accuracy = store.outcome.contenders["searched"].test["accuracy"].mean
    assert root.data.metrics["searched/accuracy"] == pytest.approx(accuracy)
    assert store.only("predict").data.metrics["accuracy"] == pytest.approx(accuracy)
    assert {"summary.json", "structure.json"} <= store.artifacts(root)


def test_the_data_is_an_input_with_its_digest(store, tiny):
    digest = SegmentationDataset.open(tiny).fingerprint
    for kind in ("search-global", "search-local", "train"):
        for run in store.of_kind(kind):
            inputs = run.inputs.dataset_inputs
            assert {entry.dataset.digest for entry in inputs} == {digest}
            contexts = sorted(tag.value for entry in inputs for tag in entry.tags)
            assert contexts == ["holdout", "test", "train"]


def test_the_exported_model_predicts_through_pyfunc(store, monkeypatch):
    mlflow = load_mlflow()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.client.tracking_uri)
    try:
        run_id = store.only("export").info.run_id
        model = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    finally:
        mlflow.set_tracking_uri(before)
    features = np.random.default_rng(0).standard_normal((1, 4, 37), dtype=np.float32)
    (found,) = model.predict(features, params={"probabilities": True})
    session = open_session(store.outcome.model, "cpu")
    expected = session.probabilities(features[0])
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    classes = session.metadata.classes
    assert found["labels"] == [classes[index] for index in expected.argmax(axis=0)]
    said = json.loads(model.metadata.metadata["g2l"])
    assert said["structure"] == store.outcome.contenders["searched"].structure.as_lists()
