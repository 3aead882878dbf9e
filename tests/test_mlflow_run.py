"""Every entry point through a real `mlflow run`, chained on tiny data and networks; and the whole demo.

The project folder is made of links to the checkout, so that what a command leaves in its working directory
(`runs/`, MLflow's artifacts) never lands in the checkout itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from g2l.datasets.synthetic import kitchen, lags, write_dataset
from g2l.tracking.environment import load_mlflow

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[1]
PARENT = "mlflow.parentRunId"
NETWORK = {"stages": 1, "layers": 2, "feature_maps": 4}
BRIEF = {"epochs": 1, "executor": "serial", "population": 2, "proxy_steps": 2, "space": "rates", "budget": 60}

ALONE = """
import json, sys
import numpy as np
import onnxruntime
model, *videos = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
metadata = json.loads(session.get_modelmeta().custom_metadata_map["g2l"])
assert (metadata["normalize"], metadata["sample_rate"]) == ("none", 1)
for video in videos:
    (probabilities,) = session.run(None, {"features": np.load(video)[None]})
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    print(json.dumps([metadata["classes"][label] for label in probabilities[0].argmax(axis=0)]))
assert not {"torch", "g2l", "mlflow"} & set(sys.modules)
"""


@dataclass(frozen=True)
class Call:
    """What one `mlflow run` left: its streams and all runs of its experiment."""

    done: subprocess.CompletedProcess[str]
    runs: list

    @property
    def root(self):
        (root,) = [run for run in self.runs if PARENT not in run.data.tags]
        return root

    def children(self, parent) -> dict[str, list]:
        found: dict[str, list] = {}
        for run in self.runs:
            if run.data.tags.get(PARENT) == parent.info.run_id:
                found.setdefault(run.data.tags["g2l.kind"], []).append(run)
        return found


class Project:
    """A project folder and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        for name in ("MLproject", "conda.yaml", "g2l", "cli"):
            (self.folder / name).symlink_to(ROOT / name)
        self.data = folder / "data"
        tiny = kitchen(np.random.default_rng(0), videos=6, frames=60, classes=5, feature_dim=4)
        write_dataset(self.data, "tiny", tiny)
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.client = load_mlflow().MlflowClient(tracking_uri=self.uri)
        self.out = folder / "out"

    def run(self, entry: str, experiment: str | None = None, **parameters: object) -> Call:
        experiment = experiment or entry
        command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local"]
        command += ["-e", entry, "--experiment-name", experiment]
        for name, value in parameters.items():
            command += ["-P", f"{name}={value}"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._variables(), capture_output=True, text=True, check=False
        )
        made = self.client.get_experiment_by_name(experiment)
        runs = self.client.search_runs([made.experiment_id], max_results=1000) if made else []
        return Call(done, list(runs))

    def train(self, entry: str, output: str, dataset: str = "tiny", **parameters: object) -> Call:
        """Run an entry point that reads data and builds a network."""
        given = {"data_root": self.data, "dataset": dataset, "output_dir": self.out / output} | NETWORK
        return self.run(entry, **(given | {"epochs": 1, "resume": "false"} | parameters))

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "80",
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_LOGGING_LEVEL": "INFO",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("mlflow-run"))


@pytest.fixture(scope="module")
def searched_globally(project):
    return project.train("search-global", "global", generations=1, **BRIEF)


@pytest.fixture(scope="module")
def searched_locally(project, searched_globally):
    start = project.out / "global" / "structure.json"
    return project.train("search-local", "local", structure=start, updates=1, interval_steps=2)


@pytest.fixture(scope="module")
def trained(project, searched_locally):
    structure = project.out / "local" / "structure.json"
    return project.train("train", "train", structure=structure, hand_designed="false", seeds=1)


@pytest.fixture(scope="module")
def exported(project, trained):
    model = project.out / "train" / "seed-0" / "model.safetensors"
    return project.run("export", model=model, output=project.out / "model.onnx")


@pytest.fixture(scope="module")
def predicted(project, exported):
    tiny = project.data / "tiny"
    return project.run(
        "predict",
        model=project.out / "model.onnx",
        features=tiny / "features",
        ground_truth=tiny / "groundTruth",
        output=project.out / "predictions",
    )


@pytest.fixture(scope="module")
def evaluated(project, predicted):
    return project.run(
        "evaluate",
        predictions=project.out / "predictions",
        ground_truth=project.data / "tiny" / "groundTruth",
    )


def check_joined(call: Call, entry: str, kind: str) -> None:
    """Assert that the command succeeded within the one run that MLflow made for it."""
    assert call.done.returncode == 0, call.done.stderr
    assert "MLflow refuses" not in call.done.stderr
    tags = call.root.data.tags
    assert f"Run (ID '{call.root.info.run_id}') succeeded" in call.done.stderr
    assert (tags["mlflow.source.type"], tags["mlflow.project.entryPoint"]) == ("PROJECT", entry)
    assert tags["g2l.kind"] == kind
    assert {run.info.status for run in call.runs} == {"FINISHED"}


def test_search_global(project, searched_globally):
    check_joined(searched_globally, "search-global", "search-global")
    root = searched_globally.root
    assert root.data.params["population"] == root.data.params["search.population"] == "2"
    candidates = searched_globally.children(root)["candidate"]
    assert len(candidates) == root.data.metrics["evaluations"] >= 2
    assert all("fitness" in candidate.data.metrics for candidate in candidates)
    assert (project.out / "global" / "structure.json").exists()


def test_search_local_starts_from_what_was_found(project, searched_locally):
    check_joined(searched_locally, "search-local", "search-local")
    start = json.loads((project.out / "global" / "structure.json").read_text())["stages"]
    params = searched_locally.root.data.params
    assert params["structure"] == str(project.out / "global" / "structure.json")
    assert json.loads(params["resolved.structure"]) == start
    assert (params["search.interval.amount"], params["search.interval.unit"]) == ("2", "steps")
    assert (project.out / "local" / "structure.json").exists()


def test_train(project, trained):
    check_joined(trained, "train", "train")
    assert trained.root.data.params["origin"] == "searched"
    assert "test/edit" in trained.root.data.metrics
    stages = trained.children(trained.root)
    (seed,), (select,) = stages["seed"], stages["select"]
    assert "test/f1_at_50" in seed.data.metrics
    (holdout,) = trained.children(select)["hold-out"]
    assert "holdout/f1_at_50" in holdout.data.metrics
    assert "│ searched" in trained.done.stdout


def test_export(project, exported):
    check_joined(exported, "export", "export")
    assert exported.root.data.metrics["label_agreement"] == 100
    assert {file.path for file in project.client.list_artifacts(exported.root.info.run_id)} >= {"model.onnx"}
    assert (project.out / "model.onnx").stat().st_size > 0


def test_predict(project, predicted):
    check_joined(predicted, "predict", "predict")
    assert predicted.root.data.metrics["videos"] == 6
    written = {path.name for path in (project.out / "predictions").iterdir()}
    assert {"segments.csv", "metrics.json", "S1_Kitchen_V1.txt"} <= written


def test_evaluate_agrees_with_predict(predicted, evaluated):
    check_joined(evaluated, "evaluate", "evaluate")
    assert evaluated.root.data.metrics == predicted.root.data.metrics


def test_pipeline(project):
    brief = BRIEF | {"generations": 0, "updates": 1, "interval_steps": 2}
    call = project.train("pipeline", "pipeline", **brief)
    check_joined(call, "pipeline", "pipeline")
    stages = call.children(call.root)
    counts = {kind: len(runs) for kind, runs in stages.items()}
    summary = json.loads((project.out / "pipeline" / "summary.json").read_text())
    trained = len({json.dumps(summary[name]["structure"]) for name in ("hand-designed", "searched")})
    once = dict.fromkeys(("search-global", "search-local", "select", "export", "predict"), 1)
    assert counts == once | {"train": trained}
    candidates = call.children(stages["search-global"][0])["candidate"]
    assert len({run.data.params["structure"] for run in candidates}) == 2
    assert {"hand-designed/edit", "searched/edit"} <= call.root.data.metrics.keys()


def test_a_command_that_fails_gives_a_failed_run(project):
    call = project.train("train", "failed", dataset="absent", experiment="failing", hand_designed="true")
    assert call.done.returncode != 0
    assert f"error: {project.data / 'absent'}: no such data set." in call.done.stderr.splitlines()
    assert "Traceback" not in call.done.stderr
    assert call.runs == [call.root]
    assert call.root.info.status == "FAILED"


@pytest.mark.timeout(900)
def test_main_is_the_demo(project, tmp_path):
    call = project.run("main", output_dir=tmp_path / "demo")
    check_joined(call, "main", "pipeline")
    assert f"mlflow ui --backend-store-uri {project.uri}" in call.done.stderr
    check_table(call.done.stdout, json.loads((tmp_path / "demo" / "summary.json").read_text()))
    stages = call.children(call.root)
    assert set(stages) == {"search-global", "search-local", "select", "train", "export", "predict"}
    assert [len(call.children(run)["seed"]) for run in stages["train"]] == [3, 3]
    for candidate in call.children(stages["search-global"][0])["candidate"]:
        files = {file.path for file in project.client.list_artifacts(candidate.info.run_id)}
        assert files == {"structure.json", "model.safetensors"}
        assert "holdout/f1_at_50" in candidate.data.metrics
    check_model(tmp_path)


def check_table(text: str, summary: dict) -> None:
    """Assert that the stacked table of a narrow terminal holds the numbers of the summary."""
    rows: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        indented, words = line.startswith("  "), re.split(r"\s{2,}", line.strip(), maxsplit=1)
        if not indented:
            cells = rows[line.strip()] = {}
        elif len(words) == 2:
            name = words[0]
            cells[name] = words[1]
        else:
            cells[name] += f"\n{words[0]}"
    named = {"accuracy": "accuracy", "edit": "edit", "f1@10": "F1@10", "f1@25": "F1@25", "f1@50": "F1@50"}
    assert set(summary) - {"difference", "contest", "costs"} == {"hand-designed", "searched"}
    for name in ("hand-designed", "searched"):
        scores = {metric: float(rows[name][title].split()[0]) for metric, title in named.items()}
        means = {metric: summary[name]["test"][metric]["mean"] for metric in named}
        assert scores == pytest.approx(means, abs=0.051)
        frames = [f"{summary[name][part]:,} frames" for part in ("receptive_field", "look_ahead")]
        assert rows[name]["receptive field look-ahead"].splitlines() == frames
    assert rows["hand-designed"]["search cost"] == "0.0 trainings"
    assert float(rows["searched"]["search cost"].split()[0]) > 0


def check_model(folder: Path) -> None:
    """Assert that model.onnx needs onnxruntime only: for a video of another data set, and for one of test."""
    unseen = lags(np.random.default_rng(1), (20,), videos=3, feature_dim=3).videos[0]
    np.save(folder / "unseen.npy", unseen.features)
    tested = next((folder / "demo" / "predictions").glob("*.txt"))
    features = folder / "demo" / "data" / "lags" / "features" / f"{tested.stem}.npy"
    done = subprocess.run(
        [sys.executable, "-c", ALONE, folder / "demo" / "model.onnx", folder / "unseen.npy", features],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    labels = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(labels[0]) == len(unseen.labels)
    assert labels[1] == tested.read_text().splitlines()
