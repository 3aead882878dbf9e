"""Where and how exactly a training computes: device, precision, threads, seeds and random states."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from g2l.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
"""Values of `--device`."""


def resolve_device(name: str) -> torch.device:
    """Return the device that `name` means here; `auto` is CUDA where there is a GPU."""
    if name not in DEVICES:
        raise InputError(f"`device` must be one of {', '.join(DEVICES)}, but is {name!r} instead.")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "`device` is cuda, but torch finds no usable GPU.",
            hint="use --device auto or cpu, or install a CUDA build of torch and a driver.",
        )
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed torch, numpy and Python, and ask torch for algorithms that give the same bits every time."""
    # cuBLAS reads this when its first handle is made; without it torch refuses to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Only a warning: a foreign network may hold an operation that has none. The other function that does this
    # imports the compiler, which takes seconds.
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one CPU thread.

    Sums are rounded in another order on another number of threads: candidates of a search get one each, so
    that their scores do not depend on how many are trained side by side.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(device: torch.device, enabled: bool) -> torch.autocast:
    """Return the context of the forward pass: bfloat16 on a GPU that has it, float32 elsewhere."""
    usable = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled and usable)


def random_states() -> dict[str, Any]:
    """Return the states of the generators of torch (CPU and GPUs), Python and numpy."""
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": {
            # weights_only refuses numpy arrays, and torch has few operations on uint32
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": numpy_state["state"]["pos"],
            "has_gauss": numpy_state["has_gauss"],
            "gauss": numpy_state["gauss"],
        },
    }


def set_random_states(saved: Mapping[str, Any]) -> None:
    """Restore what `random_states` returned; GPU states only where there are as many GPUs."""
    torch.set_rng_state(saved["torch"])
    if torch.cuda.is_available() and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(saved["cuda"])
    random.setstate(saved["python"])
    numpy_state = saved["numpy"]
    key = numpy_state["key"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy_state["pos"], numpy_state["has_gauss"], numpy_state["gauss"]))
