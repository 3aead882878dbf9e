"""An ONNX file as an MLflow model that `mlflow.pyfunc` loads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from g2l.tracking.environment import load_mlflow
from g2l.tracking.events import RunRef

MODEL_NAME = "model"
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
    model = onnx.load(path)
    features = np.load(example, allow_pickle=False)
    inputs = [value.name for value in model.graph.input]
    frame_mask = np.ones((features.shape[0], 1, features.shape[2]), np.float32)
    # Made here rather than by `log_model`, which would put it into the experiment of its global state.
    logged = client.create_logged_model(run.experiment_id, name=MODEL_NAME, source_run_id=run.run_id)
    with _fluent_state(mlflow, uri):
        info = mlflow.onnx.log_model(
            model,
            name=MODEL_NAME,
            signature=_signature(model),
            input_example=features
            if len(inputs) == 1
            else dict(zip(inputs, (features, frame_mask), strict=True)),
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in _REQUIREMENTS],
            metadata={entry.key: entry.value for entry in model.metadata_props},
            save_as_external_data=False,
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


def _signature(model: Any) -> Any:
    """Return the signature of the graph: open sizes are -1; a sole input has no name, so that arrays pass."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    inputs = list(model.graph.input)
    named = len(inputs) > 1
    return ModelSignature(
        inputs=Schema([_tensor(value, named=named) for value in inputs]),
        outputs=Schema([_tensor(value, named=True) for value in model.graph.output]),
    )


def _tensor(value: Any, *, named: bool) -> Any:
    from mlflow.types import TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = value.type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim]
    return TensorSpec(tensor_dtype_to_np_dtype(kind.elem_type), shape, name=value.name if named else None)


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
