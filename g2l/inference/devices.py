"""Which device runs a model: what `--device` asks for, what onnxruntime can start, and what it took.

onnxruntime lists the providers it was built with, not those that work. Where one does not start, it prints a
C++ message and runs on the CPU. So CUDA is tried on one convolution before it is used, and the provider that
runs a model is read back from its session.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from g2l.errors import InputError, OperationalError, brief

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

_FATAL = 4
"""Severity of the only messages of onnxruntime that are shown."""
_DOUBLING = """<ir_version: 8, opset_import: ["" : 18]>
trial (float[1, 1, 3] features) => (float[1, 1, 3] doubled) <float[1, 1, 1] weight = {2}> {
    doubled = Conv (features, weight)
}"""
_DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"


class Device(StrEnum):
    """Values of `--device`."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ProviderPlan(NamedTuple):
    """Providers to request from onnxruntime."""

    device: Device
    """`cpu` or `cuda`; `auto` is already decided."""
    providers: tuple[tuple[str, Mapping[str, str]], ...]
    """Names with options, in order of preference."""
    reason: str | None = None
    """Why `auto` chose this device, or None where the user named it."""


def plan_providers(device: Device) -> ProviderPlan:
    """Decide what to request from onnxruntime; `auto` takes CUDA where it works and the CPU elsewhere.

    InputError, with the reason, if CUDA was named, but does not work.
    """
    cpu: tuple[str, Mapping[str, str]] = (CPU_PROVIDER, {})
    if device is Device.CPU:
        return ProviderPlan(device, (cpu,))
    error = provider_error(CUDA_PROVIDER)
    if error is None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(_FATAL)
        # EXHAUSTIVE, the default, tunes again for every new length of video.
        cuda = (CUDA_PROVIDER, {"cudnn_conv_algo_search": "HEURISTIC"})
        return ProviderPlan(Device.CUDA, (cuda, cpu), "CUDA works" if device is Device.AUTO else None)
    if device is Device.AUTO:
        return ProviderPlan(Device.CPU, (cpu,), error)
    build = runtime_cuda()
    driver = "an NVIDIA driver" if build is None else f"an NVIDIA driver for CUDA {build}"
    hint = f"install {driver} and 'onnxruntime-gpu[cuda,cudnn]', or use --device cpu."
    raise InputError(f"`device` cuda cannot be used: {error}.", hint=hint)


def confirm(plan: ProviderPlan, active: Sequence[str]) -> str:
    """Return a line on the device that runs a model; `active` are the providers of its session.

    OperationalError if CUDA was named, but the session runs without it.
    """
    if plan.device is Device.CPU or CUDA_PROVIDER in active:
        return f"{plan.device} by onnxruntime" + (f" ({plan.reason})" if plan.reason else "")
    if plan.reason is not None:
        return f"cpu by onnxruntime ({plan.reason}, but {CUDA_PROVIDER} did not start)"
    raise OperationalError(
        f"`device` cuda cannot be used: onnxruntime did not start {CUDA_PROVIDER} "
        f"and would run on {', '.join(active)} instead.",
        hint="`g2l doctor` prints the reason; --device cpu runs without a GPU.",
    )


def runtime_cuda() -> str | None:
    """Return the version of CUDA that onnxruntime was built for, or None."""
    import onnxruntime

    return getattr(onnxruntime, "cuda_version", None) or None


@lru_cache
def provider_error(provider: str) -> str | None:
    """Return why a provider of onnxruntime cannot be used, or None where it works.

    The provider runs one convolution, which needs cuDNN beside CUDA. Nothing is written to stdout or stderr.
    """
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime was built without {provider}"
    if provider == CUDA_PROVIDER:
        try:
            ctypes.CDLL(_DRIVER)
        except OSError:
            return "no NVIDIA driver was found"
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()  # CUDA and cuDNN may be installed as packages
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    error = _try(provider)
    if error is None or provider == CPU_PROVIDER or visible is None:
        return error
    return f"{error} (CUDA_VISIBLE_DEVICES is {visible!r})"


def _try(provider: str) -> str | None:
    """Run a convolution by a provider alone; return why it failed, or None."""
    import onnx
    import onnxruntime

    model = onnx.parser.parse_model(_DOUBLING).SerializeToString()
    options = onnxruntime.SessionOptions()
    if provider != CPU_PROVIDER:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with _captured_stderr() as printed:
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
            found = session.run(None, {"features": np.ones((1, 1, 3), np.float32)})[0]
        except Exception as error:  # onnxruntime's errors have no common base class
            return _cause(printed()) or brief(error)
        if provider not in session.get_providers():
            return _cause(printed()) or "onnxruntime did not start it"
    return None if found.tolist() == [[[2.0, 2.0, 2.0]]] else f"it computes {found.tolist()} instead of 2"


def _cause(printed: str) -> str | None:
    """Return the library that onnxruntime could not load: the last part of its first error."""
    for line in printed.splitlines():
        if "with error: " in line:
            return brief(line.rpartition("with error: ")[2])
    return None


@contextlib.contextmanager
def _captured_stderr() -> Iterator[Callable[[], str]]:
    """Keep stderr, that of C++ included, from the terminal; yield a function that returns it."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: os.pread(file.fileno(), 2**16, 0).decode(errors="replace")
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
