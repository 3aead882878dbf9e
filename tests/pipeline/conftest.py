from __future__ import annotations

import pytest
import torch

from g2l.pipeline.stage import Workplace
from tests.pipeline.recording_tracker import RecordingTracker
from tests.pipeline.tiny_pipeline import write_tiny


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny tensors only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The data set; tests only read it."""
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tracker():
    return RecordingTracker()


@pytest.fixture
def place(tmp_path, tracker):
    return Workplace(folder=tmp_path / "out", tracker=tracker, device="cpu")
