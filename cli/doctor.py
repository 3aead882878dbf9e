"""`g2l doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import console
from .options import Debug, Json

PACKAGES = (
    "g2l",
    "torch",
    "mlflow",
    "onnx",
    "onnxruntime-gpu",
    "onnxscript",
    "scikit-learn",
    "numpy",
    "typer",
)


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Say what this machine has: versions, devices that really start, threads, disk, tracking store."""
    import torch

    from g2l.inference.providers import Device, missing_piece
    from g2l.tracking.environment import without_password

    gpu = {device.value: missing_piece(device) or "ready" for device in (Device.CUDA, Device.TENSORRT)}
    facts = {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "torch devices": "cpu, cuda" if torch.cuda.is_available() else "cpu",
        **{f"onnxruntime on {device}": state for device, state in gpu.items()},
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "free disk here": f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB",
        "tracking store": without_password(
            os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db (default)"
        ),
    }
    if json:
        console.data_json(facts)
    else:
        console.table("g2l doctor", ("", "found"), list(facts.items()))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
