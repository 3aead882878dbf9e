"""An ONNX file as an MLflow model: `mlflow.pyfunc` loads and serves its labels, `mlflow.onnx` the file."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from g2l.tracking.environment import load_mlflow
from g2l.tracking.events import RunRef

MODEL_NAME = "model"
FILE_NAME = "model.onnx"
CODE = Path(__file__).with_name("labelling_model.py")
"""What `mlflow.pyfunc` runs; it is copied into the model."""
_REQUIREMENTS = ("onnxruntime-gpu", "onnx", "numpy")
_fluent = threading.Lock()


def log_model(
    client: Any,
    uri: str,
    run: RunRef,
    *,
    path: Path,
    example: Path,
    registered_model: str | None,
    alias: str | None,
) -> None:
    """Log the ONNX file `path` as model `model` of `run`.

    Args:
        client: MlflowClient of the store.
        uri: Tracking URI of the store.
        run: The run that made the model.
        path: The `.onnx` file.
        example: `.npy` file of features, shape (1, D, T).
        registered_model: Name to register it under, or None.
        alias: Alias to give the registered version, or None.
    """
    import onnx

    mlflow = load_mlflow()
    # Made here rather than by `log`, which would put it into the experiment of its global state.
    logged = client.create_logged_model(run.experiment_id, name=MODEL_NAME, source_run_id=run.run_id)
    with _fluent_state(mlflow, uri):
        info = mlflow.models.Model.log(
            None,
            OnnxFlavor(path),
            name=MODEL_NAME,
            signature=_signature(),
            input_example=np.load(example, allow_pickle=False),
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in _REQUIREMENTS],
            metadata={entry.key: entry.value for entry in onnx.load(path).metadata_props},
            run_id=run.run_id,
            model_id=logged.model_id,
        )
    if registered_model is not None:
        _register(client, run, info, registered_model, alias)


def _register(client: Any, run: RunRef, info: Any, name: str, alias: str | None) -> None:
    """Make a version of model `name`. `log_model` could do it too, but prints that it did."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, source=info.model_uri, run_id=run.run_id, model_id=info.model_id, await_creation_for=0
    )
    if alias is not None:
        client.set_registered_model_alias(name, alias, version.version)


@dataclass(frozen=True)
class OnnxFlavor:
    """Saves one folder that MLflow loads both ways, as its own flavours each save one of them.

    Attributes:
        file: The `.onnx` file.
    """

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

    MLflow tries the example on the model with CUDA first, and onnxruntime tells of its absence on stderr.
    """
    import onnxruntime
    from mlflow.utils.logging_utils import MLFLOW_LOGGING_STREAM

    told = logging.getLogger("mlflow.onnx")  # by itself, for its handler may be another one than the stream's
    with _fluent:
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
