"""The commands of the page on services, as they are printed: a model is served and asked."""

from __future__ import annotations

import json
import shutil
import sys

import mlflow
import pytest

from tests.docs.pages import ROOT, run_bash, run_page

PAGE = ROOT / "docs" / "streaming-and-serving.md"

pytestmark = pytest.mark.timeout(300)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not installed")
def test_a_model_is_served_and_asked_by_the_commands_of_the_page(tmp_path):
    (tmp_path / "bin").mkdir()
    # MLflow starts `uvicorn` from PATH.
    (tmp_path / "bin" / "uvicorn").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uvicorn "$@"\n')
    (tmp_path / "bin" / "uvicorn").chmod(0o755)
    run_bash(
        "g2l data synth --dataset two --videos 6 --frames 40 --feature-dim 2\n"
        "g2l train --dataset two --hand-designed --stages 1 --layers 2 --feature-maps 4 --epochs 1 "
        "--output-dir trained --quiet\n"
        "g2l export --model trained/seed-0/model.safetensors --output model.onnx --quiet",
        tmp_path,
    )
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.`g2l.kind` = 'export'")
    served, asked = run_page(PAGE, tmp_path, only="bash", given={"<run id>": run.info.run_id})
    assert served == ""
    answers = [json.loads(line)["predictions"] for line in asked.replace("}{", "}\n{").splitlines()]
    assert [[len(video["labels"]) for video in answer] for answer in answers] == [[3], [2, 1]]
