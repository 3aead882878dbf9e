"""Finding the file that `runs:/…`, `models:/…` or a path names."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from pathlib import Path

from g2l.errors import InputError, OperationalError, no_such_file
from g2l.tracking.environment import load_mlflow, tracking_uri, without_password
from g2l.tracking.persistence import first_line, is_temporary

_RUNS = re.compile(r"runs:/[^/]+/.+")
_MODELS = re.compile(r"models:/([^/@]+(@[^/@]+|/[^/]+)|m-[^/]+)")


def resolve_artifact(reference: str) -> Path:
    """Return the local file that `reference` names; what lies on a server is downloaded for this process.

    Args:
        reference: A path, `runs:/<run_id>/<path>`, `models:/<name>@<alias>` or `models:/<name>/<version>`. A
            logged model stands for the `.onnx` file in it.

    Raises:
        InputError: There is no such file, run, model, version or alias, or the reference is malformed.
        OperationalError: MLflow does not answer.
    """
    if not reference.startswith(("runs:", "models:")):
        path = Path(reference)
        if not path.exists():
            raise no_such_file(reference)
        return path
    if not _RUNS.fullmatch(reference) and not _MODELS.fullmatch(reference):
        raise InputError(
            f"{reference}: expected runs:/<run_id>/<path>, models:/<name>@<alias> or "
            "models:/<name>/<version>."
        )
    path = _download(reference)
    return _onnx_file(path, reference) if path.is_dir() else path


def _download(reference: str) -> Path:
    uri = tracking_uri()
    shown = without_password(uri)
    folder = tempfile.mkdtemp(prefix="g2l-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    mlflow = load_mlflow()
    try:
        path = mlflow.artifacts.download_artifacts(artifact_uri=reference, dst_path=folder, tracking_uri=uri)
    except (mlflow.MlflowException, OSError) as error:
        if is_temporary(error):
            raise OperationalError(
                f"{reference}: MLflow at {shown} does not answer ({first_line(error)}).",
                hint="check MLFLOW_TRACKING_URI, and whether the server runs.",
            ) from error
        raise InputError(
            f"{reference}: not found in MLflow at {shown} ({first_line(error)}).",
            hint="check the reference and MLFLOW_TRACKING_URI.",
        ) from error
    return Path(path)


def _onnx_file(folder: Path, reference: str) -> Path:
    files = sorted(folder.rglob("*.onnx"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{reference}: expected one .onnx file in that folder, but found {found}.")
    return files[0]
