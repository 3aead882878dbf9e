"""Which onnxruntime execution providers to ask for, and whether the one asked for is really there.

onnxruntime falls back to the CPU with a message on stderr when a GPU provider cannot start
(`get_available_providers` lists what was compiled in, not what works). So the pieces a GPU needs are
checked before it is asked for, and what a session took is read back from the session.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from g2l.errors import InputError, OperationalError
from g2l.inference.gpu_pieces import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    missing_piece,
    runtime_cuda,
)
from g2l.inference.tiling import LONGEST_TILE


class Device(StrEnum):
    """What `--device` may be."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


GPU_PROVIDERS = {Device.CUDA: CUDA_PROVIDER, Device.TENSORRT: TENSORRT_PROVIDER}

_FATAL = 4
"""The only messages of onnxruntime that are shown."""

_TENSORRT_FRAMES = {"min": 1, "opt": 4096, "max": LONGEST_TILE}
"""Lengths that a TensorRT engine is built for."""


@dataclass(frozen=True)
class ProviderPlan:
    """What to ask of onnxruntime.

    Attributes:
        device: Cpu, cuda or tensorrt: `auto` is already decided.
        providers: Names with options, in order of preference.
        reason: Why this device, or None when the user named it.
    """

    device: Device
    providers: tuple[tuple[str, Mapping[str, str]], ...]
    reason: str | None = None

    def with_options(self, options: Mapping[str, str]) -> ProviderPlan:
        """Return this plan with more options of its first provider."""
        (name, given), *others = self.providers
        return replace(self, providers=((name, {**given, **options}), *others))


def parse_device(name: str) -> Device:
    """Return the device called `name`.

    Raises:
        InputError: There is no such device.
    """
    try:
        return Device(name)
    except ValueError:
        allowed = ", ".join(Device)
        raise InputError(f"`device` must be one of {allowed}, but is {name!r} instead.") from None


def plan_providers(device: Device) -> ProviderPlan:
    """Decide what to ask of onnxruntime; `auto` takes CUDA where it is complete and the CPU elsewhere.

    Raises:
        InputError: A GPU was named, but a piece it needs is missing; the piece is named.
    """
    if device is Device.CPU:
        return ProviderPlan(device, _providers(device))
    wanted = Device.CUDA if device is Device.AUTO else device
    missing = missing_piece(GPU_PROVIDERS[wanted])
    if missing is None:
        _silence()
        reason = "an NVIDIA device was found" if device is Device.AUTO else None
        return ProviderPlan(wanted, _providers(wanted), reason)
    if device is Device.AUTO:
        return ProviderPlan(Device.CPU, _providers(Device.CPU), missing)
    raise InputError(f"`device` {device} cannot be used: {missing}.", hint=_hint(device))


def confirm(plan: ProviderPlan, active: Sequence[str]) -> str:
    """Return a line on what runs the model, once a session exists.

    Args:
        plan: What was asked for.
        active: `session.get_providers()`.

    Raises:
        OperationalError: A GPU was named, but the session runs without it.
    """
    wanted = GPU_PROVIDERS.get(plan.device)
    if wanted is None or wanted in active:
        return f"{plan.device} by onnxruntime" + (f" ({plan.reason})" if plan.reason else "")
    if plan.reason is not None:
        return f"cpu by onnxruntime ({plan.reason}, but {wanted} did not start)"
    raise OperationalError(
        f"`device` {plan.device} cannot be used: onnxruntime did not start {wanted} "
        f"and would run on {', '.join(active)} instead.",
        hint="`g2l doctor` tries each provider and tells why; --device cpu runs without a GPU.",
    )


def _providers(device: Device) -> tuple[tuple[str, Mapping[str, str]], ...]:
    cpu: tuple[str, Mapping[str, str]] = (CPU_PROVIDER, {})
    # EXHAUSTIVE, the default, tunes again for every new length of video.
    cuda = (GPU_PROVIDERS[Device.CUDA], {"cudnn_conv_algo_search": "HEURISTIC"})
    if device is Device.CUDA:
        return (cuda, cpu)
    if device is Device.TENSORRT:
        return ((GPU_PROVIDERS[Device.TENSORRT], _tensorrt_options()), cuda, cpu)
    return (cpu,)


def _tensorrt_options() -> dict[str, str]:
    """Keep built engines, which take minutes, from one process to the next."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "g2l" / "tensorrt"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}


def tensorrt_profiles(feature_dim: int, masked: bool) -> dict[str, str]:
    """Return the range of shapes that an engine is built for: without it, one is built for each new length.

    Args:
        feature_dim: D.
        masked: Whether the model takes a frame mask.
    """
    rows = {"features": feature_dim} | ({"frame_mask": 1} if masked else {})
    return {
        f"trt_profile_{kind}_shapes": ",".join(f"{name}:1x{count}x{frames}" for name, count in rows.items())
        for kind, frames in _TENSORRT_FRAMES.items()
    }


def _hint(device: Device) -> str:
    packages = "'onnxruntime-gpu[cuda,cudnn]'" + (" tensorrt" if device is Device.TENSORRT else "")
    cuda = runtime_cuda()
    driver = "the NVIDIA driver" if cuda is None else f"an NVIDIA driver for CUDA {cuda}"
    return f"install {driver} and {packages}, or use --device cpu."


def _silence() -> None:
    """Keep onnxruntime from telling on stderr that a provider does not start: `confirm` does."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)
