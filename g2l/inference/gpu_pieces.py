"""Which piece a GPU provider of onnxruntime lacks: the driver, a device, a library, or the right version.

onnxruntime lists the providers it was built with, not those that work, and tells what is missing on stderr
only. So the pieces are looked for before a provider is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Sequence

from g2l.inference.nvidia import Driver, loads, read_driver, torch_cuda

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"

_LIBRARIES = {
    # cuDNN is optional to onnxruntime, but convolutions do not run without it.
    CUDA_PROVIDER: (("libcudnn.so.9",), ("cudnn64_9.dll",)),
    TENSORRT_PROVIDER: (
        ("libcudnn.so.9", "libnvinfer.so.10", "libnvonnxparser.so.10"),
        ("cudnn64_9.dll", "nvinfer_10.dll", "nvonnxparser_10.dll"),
    ),
}
"""What each provider needs beside what `preload_dlls` complains of: on Linux, and on Windows."""


def missing_piece(provider: str) -> str | None:
    """Return what keeps a provider from being used, or None; nothing is written to stderr.

    Args:
        provider: onnxruntime's name. Of those that need no NVIDIA device no piece is known to be missing.
    """
    if provider not in compiled_in():
        return f"the installed onnxruntime was built without {provider}"
    if provider not in _LIBRARIES:
        return None
    return _missing_of_driver(read_driver()) or _missing_libraries(provider)


def _missing_of_driver(driver: Driver | None) -> str | None:
    if driver is None:
        return "no NVIDIA driver was found"
    if driver.fault is not None:
        return f"the NVIDIA driver does not start (CUDA error {driver.fault})"
    if not driver.devices:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if shown is None else f" (CUDA_VISIBLE_DEVICES is {shown!r})"
        return f"no NVIDIA device was found{why}"
    needed = runtime_cuda()
    if needed is not None and driver.cuda[0] < _major(needed):
        return (
            f"the NVIDIA driver runs CUDA up to {driver.cuda[0]}.{driver.cuda[1]}, "
            f"but onnxruntime was built for CUDA {needed}"
        )
    return None


def _missing_libraries(provider: str) -> str | None:
    absent = _absent_libraries(provider)
    if not absent:
        return None
    needed, torch = runtime_cuda(), torch_cuda()
    mismatch = ""
    if needed is not None and torch is not None and _major(torch) != _major(needed):
        # The usual cause: the libraries that torch brought along are of another major version.
        mismatch = f" (onnxruntime was built for CUDA {needed}, torch for CUDA {torch})"
    return f"{', '.join(absent)} cannot be loaded{mismatch}"


def compiled_in() -> Sequence[str]:
    """Return the providers that onnxruntime was built with, which may lack what they need."""
    import onnxruntime

    providers: list[str] = onnxruntime.get_available_providers()
    return providers


def runtime_cuda() -> str | None:
    """Return the version of CUDA that onnxruntime was built for, or None."""
    import onnxruntime

    return getattr(onnxruntime, "cuda_version", None) or None


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def preload() -> list[str]:
    """Load the CUDA libraries that onnxruntime links to and cuDNN, from the nvidia packages if installed.

    Returns:
        Those of CUDA that cannot be loaded.
    """
    import onnxruntime

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        onnxruntime.preload_dlls()
    told = [line for line in said.getvalue().splitlines() if line.startswith("Failed to load ")]
    names = [line.removeprefix("Failed to load ").split(":")[0] for line in told]
    # Those with a folder are tried again by their name alone.
    return [name for name in names if not {"/", "\\"} & set(name)]


def _absent_libraries(provider: str) -> list[str]:
    absent = preload()
    if provider == TENSORRT_PROVIDER:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("tensorrt")  # loads the libraries its package brings
    return absent + [name for name in _LIBRARIES[provider][os.name == "nt"] if not loads(name)]
