"""Files of `torch.save`: a tensor, or a dictionary of tensors; nothing else is unpickled."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.array_files.stored import StoredArray, unreadable
from g2l.datasets.faults import DataError, Fault

SINGLE = "tensor"
"""Name of the tensor of a file that holds nothing but one."""


def list_arrays(path: Path) -> dict[str, StoredArray]:
    """Return the tensors of a file; their numbers stay on disk.

    Raises:
        DataError: It cannot be read, or holds no tensors.
    """
    return {
        name: StoredArray(tuple(tensor.shape), _as_numpy(tensor[:0] if tensor.ndim else tensor).dtype)
        for name, tensor in _tensors(path).items()
    }


def read_array(path: Path, name: str) -> npt.NDArray[Any]:
    """Return one tensor of a file.

    Raises:
        DataError: It cannot be read.
    """
    return _as_numpy(_tensors(path)[name])


def _tensors(path: Path) -> dict[str, Any]:
    """Return the dense tensors of numbers that numpy knows, memory-mapped where the file allows it."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        message = "expected a tensor or a dictionary of tensors, and other objects are never unpickled."
        raise DataError(Fault(path, None, message)) from None
    except Exception as error:  # torch's errors of damaged files have no common base class
        raise unreadable(path, "a file of torch.save", error) from None
    named = {SINGLE: found} if isinstance(found, torch.Tensor) else found
    if not isinstance(named, dict):
        message = f"expected a tensor or a dictionary of tensors, but found a {type(found).__name__}."
        raise DataError(Fault(path, None, message))
    return {
        str(name): tensor.detach()
        for name, tensor in named.items()
        if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
    }


def _as_numpy(tensor: Any) -> npt.NDArray[Any]:
    import torch

    # numpy has no bfloat16; float32 holds it exactly.
    known = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return np.asarray(known.numpy())
