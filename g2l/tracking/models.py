"""An ONNX file as an MLflow model: `mlflow.pyfunc` loads and serves its labels, `mlflow.onnx` the file."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from g2l.files import describe_file
from g2l.tracking.environment import load_mlflow
from g2l.tracking.state import OnnxModel

MODEL_NAME = "model"
FILE_NAME = "model.onnx"
CODE = Path(__file__).with_name("labelling_model.py")
"""Code that `mlflow.pyfunc` runs; it is copied into the model."""
_REQUIREMENTS = ("onnxruntime-gpu", "onnx", "numpy")
CONTENT_TAG = "g2l.sha256"
EXAMPLE_FRAMES = 16
"""MLflow writes the input example of a model as text, so a long one would become many megabytes."""


def log_model(client: Any, uri: str, run: Any, model: OnnxModel) -> None:
    """Log an ONNX file as MLflow model `model` of a run, and register it; does nothing a second time."""
    import onnx

    content = describe_file(model.file)["sha256"]
    logged = _logged(client, run, content)
    if logged is None:
        mlflow = load_mlflow()
        about = {entry.key: entry.value for entry in onnx.load(model.file).metadata_props}
        rows = json.loads(about["g2l"])["feature_dim"]
        # Made here rather than by `log`, which would put it into the experiment of its global state.
        logged = client.create_logged_model(
            run.info.experiment_id,
            name=MODEL_NAME,
            source_run_id=run.info.run_id,
            tags={CONTENT_TAG: content},
        )
        with _fluent_state(mlflow, uri):
            mlflow.models.Model.log(
                None,
                OnnxFlavor(model.file),
                name=MODEL_NAME,
                signature=_signature(),
                input_example=np.zeros((1, rows, EXAMPLE_FRAMES), np.float32),
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in _REQUIREMENTS],
                metadata=about,
                run_id=run.info.run_id,
                model_id=logged.model_id,
            )
    if model.registered_model is not None:
        _register(client, run, logged.model_id, model.registered_model, model.alias)


def _logged(client: Any, run: Any, content: str) -> Any:
    """Return the model of a run that was logged before; one that a kill left half-done is deleted."""
    found = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    for logged in found:
        if logged.tags.get(CONTENT_TAG) == content:
            if logged.status.value == "READY":
                return logged
            client.delete_logged_model(logged.model_id)
    return None


def _register(client: Any, run: Any, model_id: str, name: str, alias: str | None) -> None:
    """Make a version of model `name`, once. `log_model` could do it too, but prints that it did."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"name = '{name.replace(chr(39), '')}'")
    source = f"models:/{model_id}"
    version = next((one for one in known if one.source == source), None)
    if version is None:
        version = client.create_model_version(
            name, source, run_id=run.info.run_id, model_id=model_id, await_creation_for=0
        )
    if alias is not None:
        client.set_registered_model_alias(name, alias, version.version)


@dataclass(frozen=True)
class OnnxFlavor:
    """Saves one folder that MLflow loads both ways, as its own flavours each save one of them."""

    file: Path

    def save_model(self, path: str, mlflow_model: Any, **settings: Any) -> None:
        """Write what `mlflow.models.Model.log` uploads."""
        import onnx
        from mlflow.onnx import FLAVOR_NAME
        from mlflow.pyfunc import save_model

        with tempfile.TemporaryDirectory(prefix="g2l-") as folder:
            named = shutil.copyfile(self.file, Path(folder, FILE_NAME))
            artifacts = {"onnx": str(named)}
            save_model(path, python_model=CODE, artifacts=artifacts, mlflow_model=mlflow_model, **settings)
        mlflow_model.add_flavor(
            FLAVOR_NAME, onnx_version=onnx.__version__, data=f"artifacts/{FILE_NAME}", code=None
        )
        mlflow_model.save(Path(path, "MLmodel"))


def _signature() -> Any:
    """Return what a prediction holds; inputs are left open, for they may be arrays, lists or paths."""
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, ColSpec

    return ModelSignature(
        outputs=Schema(
            [
                ColSpec(Array(DataType.string), "labels"),
                ColSpec(Array(Array(DataType.float)), "probabilities", required=False),
                ColSpec(Array(DataType.string), "classes", required=False),
            ]
        ),
        params=ParamSchema([ParamSpec("probabilities", DataType.boolean, default=False)]),
    )


@contextmanager
def _fluent_state(mlflow: Any, uri: str) -> Iterator[None]:
    """Point MLflow's global state to `uri` and keep it and onnxruntime quiet; `log_model` has no other way.

    MLflow tries the example on the model with CUDA first, and onnxruntime reports its absence on stderr.
    """
    import onnxruntime
    from mlflow.utils.logging_utils import MLFLOW_LOGGING_STREAM

    told = logging.getLogger("mlflow.onnx")  # by itself, for its handler may be another one than the stream's
    before, level = os.environ.get("MLFLOW_TRACKING_URI"), told.level
    mlflow.set_tracking_uri(uri)
    MLFLOW_LOGGING_STREAM.enabled = False
    told.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(4)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)
        told.setLevel(level)
        MLFLOW_LOGGING_STREAM.enabled = True
        mlflow.set_tracking_uri(before)
