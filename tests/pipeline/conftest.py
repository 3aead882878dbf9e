from __future__ import annotations

import pytest
import torch

from g2l.pipeline.context import RunContext
from tests.pipeline.tiny_pipeline import write_tiny


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny tensors only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_latency(request, monkeypatch):
    """The export of a network takes seconds; `measured` is asked for where its latency is tested."""
    if "measured" not in request.fixturenames:
        monkeypatch.setattr("g2l.pipeline.search_global.latency", lambda *_, **__: None)


@pytest.fixture
def measured():
    """Let searches of shapes measure latencies."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The data set; tests only read it."""
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture
def context(tmp_path):
    return RunContext(folder=tmp_path / "out", device="cpu")
