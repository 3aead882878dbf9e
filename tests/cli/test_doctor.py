"""`g2l doctor`: what it tells of this machine, and that it fails because of nothing."""

from __future__ import annotations

import json

import pytest
from command_lines import Run, invoke

import g2l
from g2l.errors import OperationalError
from g2l.inference import devices
from g2l.tracking import store


@pytest.fixture(autouse=True)
def usable_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the tables of a store takes long, and is not what these tests are about."""
    monkeypatch.setattr(store, "check_store", lambda: "experiment and tag were written and read")


def test_it_tells_what_really_works(run: Run) -> None:
    told = run("doctor", "--json")
    assert (told.exit_code, told.stderr) == (0, "")
    facts = json.loads(told.stdout)
    assert facts["g2l"] == g2l.__version__
    assert facts["onnxruntime CPUExecutionProvider"] == "works"
    assert facts["torch devices"].startswith("cpu")
    assert int(facts["threads used by torch"]) >= 1
    assert facts["threads usable"].endswith(" cores")
    assert facts["tracking store"] == "sqlite:///mlflow.db (default)"
    assert facts["tracking store usable"] == "yes: experiment and tag were written and read"
    for name in ("free disk here", "free disk for temporary files", "free disk for the tracking store"):
        assert " GiB (" in facts[name]
    assert facts["memory"].endswith(" available")
    shown = run("doctor")
    assert shown.exit_code == 0
    for name in facts:
        assert name in shown.stdout


def test_a_gpu_that_cannot_be_used_is_explained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"CPUExecutionProvider": None, "CUDAExecutionProvider": "libcudnn.so.9: not found"}
    monkeypatch.setattr(devices, "provider_error", reasons.get)
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["onnxruntime CPUExecutionProvider"] == "works"
    assert facts["onnxruntime CUDAExecutionProvider"] == "libcudnn.so.9: not found"
    assert facts["--device auto takes"] == "cpu (libcudnn.so.9: not found)"


def test_a_store_that_cannot_be_used_is_told_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")

    def refused() -> str:
        raise OperationalError("Connection refused.", hint="start it.")

    monkeypatch.setattr(store, "check_store", refused)
    told = run("doctor", "--json")
    assert told.exit_code == 0
    facts = json.loads(told.stdout)
    assert facts["tracking store"] == "http://127.0.0.1:9"
    assert facts["tracking store usable"] == "no: Connection refused (hint: start it)"
    assert "secret" not in told.stdout


def test_missing_packages_and_a_broken_torch_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    facts = json.loads(invoke("doctor", "--json").stdout)
    assert facts["torch devices"].startswith("torch cannot be imported (")
