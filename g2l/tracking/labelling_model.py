"""A logged model as `mlflow.pyfunc` loads it: class names for every frame of every video.

MLflow copies this file into the model and runs it wherever that is served, so that nothing is pickled.
g2l need not be installed there, and nothing of it is imported: the ONNX file is sufficient. Tests
hold the labels against those of `g2l predict`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types.type_hints import TypeFromExample

FEATURES_ROOT = "G2L_FEATURES_ROOT"
"""Variable that names the folder in which feature files may be read; without it none are.

Whoever may ask a served model could read any file of its machine otherwise.
"""
_CUDA = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})  # lengths differ all the time

_Array = npt.NDArray[Any]


class LabellingModel(PythonModel):
    """Labels videos by the ONNX file in the model's folder."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the ONNX file."""
        there = onnxruntime.get_available_providers()
        providers = [*([_CUDA] if _CUDA[0] in there else []), "CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(context.artifacts["onnx"], providers=providers)
        self._about = json.loads(self._session.get_modelmeta().custom_metadata_map["g2l"])
        self._masked = len(self._session.get_inputs()) > 1

    # MLflow acts on the annotation of what comes in: this one leaves lists, arrays and paths alone.
    def predict(
        self, context: Any, model_input: TypeFromExample, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the labels of each video, and if asked for `probabilities` (C, T) and `classes`.

        The input is a list of, or an array or a DataFrame column that holds, feature matrices (D, T) as
        feature files hold them, or names of such files below `FEATURES_ROOT`.
        """
        wanted = bool((params or {}).get("probabilities"))
        return [self._result(video, probabilities=wanted) for video in _videos(model_input)]

    def _result(self, video: Any, *, probabilities: bool) -> dict[str, Any]:
        file = isinstance(video, str | Path)
        rows, rate, classes = (self._about[name] for name in ("feature_dim", "sample_rate", "classes"))
        features = _read(str(video), rows) if file else _matrix(video)
        if features.dtype.kind not in "fiu":
            raise _refused(f"expected features as numbers, but found {features.dtype}.")
        if features.ndim != 2 or len(features) != rows or not features.shape[1]:
            raise _refused(f"expected features of shape {rows} × frames, but found {features.shape}.")
        num_frames = features.shape[1]
        sampled = self._run(_finite(features[:, ::rate]))
        # (C, T') -> (C, T): each label stands for the frames up to the next one that the network has seen.
        found = sampled.repeat(rate, axis=1)[:, :num_frames]
        result: dict[str, Any] = {"labels": [classes[index] for index in found.argmax(axis=0)]}
        return result | ({"probabilities": found, "classes": classes} if probabilities else {})

    def _run(self, features: _Array) -> _Array:
        inputs = {"features": features[None]}
        if self._masked:
            inputs["frame_mask"] = np.ones((1, 1, features.shape[1]), np.float32)
        probabilities: _Array = self._session.run(["probabilities"], inputs)[0][0]
        if not np.isfinite(probabilities).all():
            raise MlflowException("the model gives NaN.")
        return probabilities


def _videos(given: Any) -> Iterable[Any]:
    """Return the videos one by one."""
    if hasattr(given, "iloc"):  # a DataFrame; pandas is not imported for its sake
        if given.shape[1] != 1:
            raise _refused(f"expected one column, of paths or features, but found {given.shape[1]}.")
        return list(given.iloc[:, 0])
    if isinstance(given, list | tuple | np.ndarray):
        return given
    raise _refused(f"expected a list of videos, but found {type(given).__name__}.")


def _matrix(video: Any) -> _Array:
    try:
        return np.asarray(video)
    except ValueError:
        raise _refused("expected features as numbers, but found rows of different lengths.") from None


def _read(name: str, feature_dim: int) -> _Array:
    """Return what a file holds, memory-mapped, turned where it is stored as frames × feature_dim."""
    root = os.environ.get(FEATURES_ROOT)
    if not root:
        raise _refused(f"{name!r} is not read: {FEATURES_ROOT} names no folder that may be read.")
    try:
        folder = Path(root).resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise _refused(f"{name!r} is not read: it is outside the folder that {FEATURES_ROOT} names.")
        if not path.is_file():
            raise _refused(f"{name!r}: no such file.")
        stored = np.lib.format.open_memmap(path, mode="r")
    except MlflowException:
        raise
    except Exception:  # a damaged header raises errors of many kinds
        raise _refused(f"{name!r}: expected a numpy array (.npy).") from None
    turned = stored.ndim == 2 and stored.shape[0] != feature_dim == stored.shape[1]
    return stored.T if turned else stored


def _finite(features: _Array) -> _Array:
    with np.errstate(over="ignore"):
        result = np.array(features, np.float32, order="C")
    if not np.isfinite(result).all():
        raise _refused("features must be finite.")
    return result


def _refused(message: str) -> MlflowException:
    """Return the error that a server answers with status 400."""
    error: MlflowException = MlflowException.invalid_parameter_value(message)
    return error


set_model(LabellingModel())
