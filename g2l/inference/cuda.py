"""Calls of CUDA's runtime library that onnxruntime has no Python for: page-locked memory, plain copies."""

from __future__ import annotations

import ctypes
import os
import weakref

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError
from g2l.inference.loading import new_array

_LIBRARIES = (
    ("libcudart.so.13", "libcudart.so.12"),
    ("cudart64_13.dll", "cudart64_12.dll"),
)
_TO_DEVICE, _TO_HOST = 1, 2


class CudaRuntime:
    """CUDA's runtime library, which onnxruntime has loaded by the time a session runs on a GPU.

    Args:
        library: The library.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    @classmethod
    def find(cls) -> CudaRuntime | None:
        """Return the library, or None where it is not installed."""
        for name in _LIBRARIES[os.name == "nt"]:
            try:
                return cls(ctypes.CDLL(name))
            except OSError:
                continue
        return None

    def pinned_array(self, size: int) -> npt.NDArray[np.float32]:
        """Return an array in page-locked memory, from which copies to the device are about twice as fast.

        Where the system locks no more memory it is an ordinary one.
        """
        array = new_array(size)
        address = ctypes.c_void_p(array.ctypes.data)
        if self._library.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), 0) == 0:
            weakref.finalize(array, self._library.cudaHostUnregister, address)
        return array

    def to_device(self, address: int, array: npt.NDArray[np.float32]) -> None:
        """Copy an array to the device, and return when it is there.

        Raises:
            OperationalError: The device refuses.
        """
        self._copy(address, array.ctypes.data, array.nbytes, _TO_DEVICE)
        # From memory that is not page-locked the call above may return before the last bytes have arrived.
        self._library.cudaStreamSynchronize(None)

    def to_host(self, array: npt.NDArray[np.float32], address: int) -> None:
        """Copy from the device into an array, and return when it is there.

        Raises:
            OperationalError: The device refuses.
        """
        self._copy(array.ctypes.data, address, array.nbytes, _TO_HOST)

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        pointers = ctypes.c_void_p(target), ctypes.c_void_p(source)
        status = self._library.cudaMemcpy(*pointers, ctypes.c_size_t(size), kind)
        if status != 0:
            raise OperationalError(f"copying {size} bytes from or to the GPU failed (CUDA error {status}).")
