"""Opening any `.onnx` file by onnxruntime, and what is told where that, or running it, fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from g2l.errors import InputError, OperationalError, brief, no_such_file
from g2l.inference.providers import Device, ProviderPlan
from g2l.machine import usable_cores


def load_onnx(path: Path, plan: ProviderPlan, *, threads: int | None = None, optimised: bool = True) -> Any:
    """Return onnxruntime's session for a file.

    Args:
        path: The file.
        plan: The providers to run it by.
        threads: CPU threads, or None for one per core that this process may use.
        optimised: Whether the graph is to be prepared for running, not only for looking at it.

    Raises:
        InputError: The file is missing or no ONNX model.
        OperationalError: The device did not start.
    """
    import onnxruntime

    if not path.is_file():
        raise no_such_file(path)
    settings = onnxruntime.SessionOptions()
    # Its own default takes no account of affinity, nor of what a container grants.
    settings.intra_op_num_threads = threads or usable_cores()
    settings.log_severity_level = 4  # what fails is raised, and warnings are about its own optimiser
    if not optimised:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        # `enable_fallback` would print to stdout and hide a failing device.
        return onnxruntime.InferenceSession(path, settings, providers=list(plan.providers), enable_fallback=0)
    except Exception as error:  # onnxruntime's errors have no common base class
        raise _not_loaded(path, plan.device, error) from None


def run_failed(error: Exception) -> OperationalError:
    """Return what to raise where onnxruntime failed while a model ran."""
    return OperationalError(f"onnxruntime failed: {brief(error)}")


def _not_loaded(path: Path, device: Device, error: Exception) -> InputError | OperationalError:
    message = f"{path}: onnxruntime cannot load it ({brief(error)})."
    if device is Device.CPU:
        return InputError(message, hint="the file may be cut short, or be no ONNX model.")
    return OperationalError(message, hint="try --device cpu to tell a damaged file from a failing device.")
