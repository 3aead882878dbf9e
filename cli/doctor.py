"""`g2l doctor`."""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import console
from .settings import JsonConfig

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


def doctor(config: JsonConfig) -> None:
    """Show what this machine has and what works: versions, devices, threads, memory, disk, MLflow.

    It is a diagnosis: whatever it finds, the exit code is 0.

    Example: g2l doctor --json
    """
    facts = {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        **_nvidia(),
        **_devices(),
        **_machine(),
        **_tracking(),
    }
    if config.json:
        console.data_json(facts)
    else:
        console.table("g2l doctor", ("", "found"), list(facts.items()))


def _nvidia() -> dict[str, str]:
    from g2l.inference.gpu_pieces import preload, runtime_cuda
    from g2l.inference.nvidia import cudnn_release, driver_release, read_driver, torch_cuda

    preload()  # cuDNN may be a package, which only that finds
    driver = read_driver()
    return {
        "NVIDIA driver": "none"
        if driver is None
        else f"{driver_release() or 'found'}, for CUDA up to {driver.cuda[0]}.{driver.cuda[1]}",
        "NVIDIA devices": ", ".join(driver.devices) if driver and driver.devices else "none",
        "cuDNN": cudnn_release() or "none",
        "onnxruntime is built for": _build(runtime_cuda()),
        "torch is built for": _build(torch_cuda()),
    }


def _devices() -> dict[str, str]:
    """Return which devices really work."""
    from g2l.inference.provider_trial import try_providers
    from g2l.inference.providers import Device, plan_providers

    trials = {f"onnxruntime {trial.provider}": trial.fault or "works" for trial in try_providers()}
    plan = plan_providers(Device.AUTO)
    return {**trials, "--device auto takes": f"{plan.device} ({plan.reason})", **_torch()}


def _torch() -> dict[str, str]:
    try:
        import torch
    except (ImportError, OSError) as error:  # such as a library of another version of CUDA
        return {"torch devices": f"torch cannot be imported ({' '.join(str(error).split())})"}
    devices = "cpu, cuda" if torch.cuda.is_available() else "cpu"
    return {"torch devices": devices, "threads used by torch": str(torch.get_num_threads())}


def _machine() -> dict[str, str]:
    from g2l.machine import usable_cores, usable_memory

    memory = usable_memory()
    return {
        "threads usable": f"{usable_cores()} of {os.cpu_count()} cores",
        "memory": "not known" if memory is None else f"{_gib(memory[0])} of {_gib(memory[1])} available",
        "free disk here": _free(Path()),
        "free disk for temporary files": _free(Path(tempfile.gettempdir())),
    }


def _tracking() -> dict[str, str]:
    from g2l.tracking.environment import without_password
    from g2l.tracking.reachability import ask_store

    state = ask_store()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    usable = {True: "yes", False: "no", None: "unknown"}[state.usable]
    facts = {
        "tracking store": without_password(uri) if uri else "sqlite:///mlflow.db (default)",
        "tracking store usable": f"{usable}: {state.detail}",
    }
    if state.folder is not None:
        facts["free disk for the tracking store"] = _free(state.folder)
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _build(cuda: str | None) -> str:
    return "cpu" if cuda is None else f"CUDA {cuda}"


def _free(path: Path) -> str:
    from g2l.machine import free_disk, nearest_folder

    return f"{_gib(free_disk(path))} ({nearest_folder(path)})"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
