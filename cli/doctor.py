"""`g2l doctor`."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from g2l.errors import G2LError

from . import console
from .settings import JsonConfig

SHOWN = ["g2l", "torch", "mlflow", "onnx", "onnxruntime-gpu", "onnxscript", "scikit-learn", "numpy", "typer"]


def doctor(config: JsonConfig) -> None:
    """Check versions, devices, threads, memory, disk and the MLflow store.

    The exit code is always 0.

    Example: g2l doctor --json
    """
    from g2l.machine import usable_cores, usable_memory

    memory = usable_memory()
    facts = {
        "python": platform.python_version(),
        **{name: _version(name) for name in SHOWN},
        **_devices(),
        "threads usable": f"{usable_cores()} of {os.cpu_count()} cores",
        "memory": "not known" if memory is None else f"{_gib(memory[0])} of {_gib(memory[1])} available",
        "free disk here": _free(Path()),
        "free disk for temporary files": _free(Path(tempfile.gettempdir())),
        **_tracking(),
    }
    if config.json:
        console.data_json(facts)
    else:
        console.table("g2l doctor", [{"": name, "found": value} for name, value in facts.items()])


def _devices() -> dict[str, str]:
    """Return which devices really work."""
    from g2l.inference import devices

    plan = devices.plan_providers(devices.Device.AUTO)
    facts = {"onnxruntime is built for": _build(devices.runtime_cuda())}
    for provider in (devices.CPU_PROVIDER, devices.CUDA_PROVIDER):
        facts[f"onnxruntime {provider}"] = devices.provider_error(provider) or "works"
    facts["--device auto takes"] = f"{plan.device} ({plan.reason})"
    try:
        import torch
    except (ImportError, OSError) as error:  # such as a library of another version of CUDA
        return facts | {"torch devices": f"torch cannot be imported ({console.one_line(str(error))})"}
    names = ["cpu", *map(torch.cuda.get_device_name, range(torch.cuda.device_count()))]
    return facts | {
        "torch is built for": _build(torch.version.cuda),
        "torch devices": ", ".join(names),
        "threads used by torch": str(torch.get_num_threads()),
    }


def _build(cuda: str | None) -> str:
    return "cpu" if cuda is None else f"CUDA {cuda}"


def _tracking() -> dict[str, str]:
    from g2l.tracking.environment import tracking_uri, without_password
    from g2l.tracking.store import check_store, sqlite_path

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    facts = {"tracking store": without_password(uri) if uri else "sqlite:///mlflow.db (default)"}
    try:
        if (path := sqlite_path(tracking_uri())) is not None:
            facts["free disk for the tracking store"] = _free(path.parent)
        facts["tracking store usable"] = f"yes: {check_store()}"
    except G2LError as error:
        hint = f" (hint: {error.hint.rstrip('.')})" if error.hint else ""
        facts["tracking store usable"] = f"no: {error.message.rstrip('.')}{hint}"
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _free(path: Path) -> str:
    from g2l.machine import free_disk, nearest_folder

    return f"{_gib(free_disk(path))} ({nearest_folder(path)})"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
