from __future__ import annotations

import os
import sys

import pytest

from g2l.errors import InputError, OperationalError
from g2l.inference import devices
from g2l.inference.devices import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    Device,
    confirm,
    plan_providers,
    provider_error,
)


@pytest.fixture
def cuda(monkeypatch):
    """Decides why CUDA does not work, None if it does."""
    return lambda error: monkeypatch.setattr(devices, "provider_error", lambda provider: error)


def test_cpu_asks_for_nothing_else():
    plan = plan_providers(Device.CPU)
    assert plan.providers == ((CPU_PROVIDER, {}),)
    assert confirm(plan, [CPU_PROVIDER]) == "cpu by onnxruntime"


def test_auto_takes_cuda_where_it_works_and_reports_it(cuda):
    cuda(None)
    plan = plan_providers(Device.AUTO)
    assert plan.providers == ((CUDA_PROVIDER, {"cudnn_conv_algo_search": "HEURISTIC"}), (CPU_PROVIDER, {}))
    assert confirm(plan, [CUDA_PROVIDER, CPU_PROVIDER]) == "cuda by onnxruntime (CUDA works)"
    # The provider of the session counts, not the plan.
    assert confirm(plan, [CPU_PROVIDER]).startswith("cpu by onnxruntime (")


def test_a_named_gpu_that_does_not_work_is_an_error_and_auto_takes_the_cpu(cuda):
    cuda("libcudnn.so.9: cannot open shared object file")
    with pytest.raises(
        InputError, match=r"`device` cuda cannot be used: libcudnn\.so\.9: cannot open"
    ) as caught:
        plan_providers(Device.CUDA)
    assert "--device cpu" in caught.value.hint
    plan = plan_providers(Device.AUTO)
    assert plan.device is Device.CPU
    assert (
        confirm(plan, [CPU_PROVIDER]) == "cpu by onnxruntime (libcudnn.so.9: cannot open shared object file)"
    )


def test_a_session_without_the_named_gpu_is_no_silent_fallback(cuda):
    cuda(None)
    with pytest.raises(OperationalError, match="did not start CUDAExecutionProvider and would run on CPU"):
        confirm(plan_providers(Device.CUDA), [CPU_PROVIDER])


def test_the_cpu_works_and_a_missing_driver_is_the_reason(capfd, monkeypatch):
    assert provider_error(CPU_PROVIDER) is None
    monkeypatch.setattr(devices, "_DRIVER", "libno-such-driver.so")
    assert provider_error.__wrapped__(CUDA_PROVIDER) in (
        "no NVIDIA driver was found",
        "the installed onnxruntime was built without CUDAExecutionProvider",
    )
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_does_not_start_is_explained_without_noise(monkeypatch, capfd):
    """The package for GPUs finds no driver or no libraries here, which onnxruntime prints on stderr."""
    if provider_error(CUDA_PROVIDER) is None:
        pytest.skip("CUDA works here")
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    reason = provider_error.__wrapped__(CUDA_PROVIDER)
    assert reason
    assert "\n" not in reason
    assert capfd.readouterr() == ("", "")
    if "built without" not in reason:
        assert reason.endswith("(CUDA_VISIBLE_DEVICES is '-1')")


def test_the_cause_is_the_library_that_could_not_be_loaded():
    printed = "[E:onnxruntime] Failed to load x.so with error: liby.so.13: no such file\nmore"
    assert devices._cause(printed) == "liby.so.13: no such file"
    assert devices._cause("[W:onnxruntime] something else") is None


def test_stderr_is_restored(capfd):
    with devices._captured_stderr() as printed:
        os.write(2, b"from C++\n")
        assert printed() == "from C++\n"
    print("seen", file=sys.stderr)
    os.write(2, b"seen too\n")
    assert capfd.readouterr().err == "seen\nseen too\n"
