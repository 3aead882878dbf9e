from __future__ import annotations

import os
import sys

import pytest

from g2l.inference import provider_trial
from g2l.inference.gpu_pieces import CPU_PROVIDER, CUDA_PROVIDER, compiled_in, missing_piece
from g2l.inference.provider_trial import Trial, start, try_providers


def test_each_provider_works_or_says_what_it_lacks(capfd):
    trials = try_providers()
    assert [trial.provider for trial in trials] == list(compiled_in())
    assert Trial(CPU_PROVIDER, None) in trials
    for trial in trials:
        if (missing := missing_piece(trial.provider)) is not None:
            assert trial.fault == missing
    assert capfd.readouterr() == ("", "")


def test_what_onnxruntime_writes_to_stderr_is_the_fault(capfd):
    """Here CUDA is started although a piece is missing; that it lacks one is checked before otherwise."""
    if CUDA_PROVIDER not in compiled_in() or missing_piece(CUDA_PROVIDER) is None:
        pytest.skip("CUDA would start here")
    fault = start(CUDA_PROVIDER)
    assert fault
    assert "\n" not in fault
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_computes_nonsense_or_fails_is_told(monkeypatch):
    monkeypatch.setattr(provider_trial, "_convolution", lambda: b"nonsense")
    assert "protobuf" in start(CPU_PROVIDER).lower()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "[E:onnxruntime] Failed to load x.so with error: liby.so.13: no such file\nmore",
            "liby.so.13",
        ),
        ("[W:onnxruntime] something else", None),
        ("", None),
    ],
)
def test_the_cause_is_found_in_what_was_said(said, cause):
    found = provider_trial._cause(said)
    assert found is None if cause is None else found.startswith(cause)


def test_stderr_is_given_back(capfd):
    with provider_trial._captured_stderr() as said:
        os.write(2, b"from C++\n")
        assert said() == "from C++\n"
    print("seen", file=sys.stderr)
    os.write(2, b"seen too\n")
    assert capfd.readouterr().err == "seen\nseen too\n"
