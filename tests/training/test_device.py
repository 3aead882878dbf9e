from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from g2l.errors import InputError
from g2l.training.device import autocast, resolve_device, seed_everything


@pytest.fixture
def _without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def _with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("_without_gpu")
@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_the_cpu_is_taken_where_there_is_no_gpu(name):
    assert resolve_device(name) == torch.device("cpu")


@pytest.mark.usefixtures("_with_gpu")
@pytest.mark.parametrize(("name", "device"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_the_gpu_is_taken_where_there_is_one(name, device):
    assert resolve_device(name) == torch.device(device)


@pytest.mark.usefixtures("_without_gpu")
def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(InputError, match="`device` is cuda, but torch finds no usable GPU") as caught:
        resolve_device("cuda")
    assert "--device auto" in caught.value.hint


@pytest.mark.parametrize("name", ["tensorrt", "gpu", ""])
def test_an_unknown_device_is_refused_with_the_choices(name):
    with pytest.raises(InputError, match=rf"must be one of auto, cpu, cuda, but is '{name}' instead\."):
        resolve_device(name)


def test_a_seed_fixes_all_generators():
    def draws():
        return torch.rand(2).tolist(), np.random.random(2).tolist(), random.random()

    seed_everything(-3)
    first = draws()
    seed_everything(-3)
    assert draws() == first
    assert torch.are_deterministic_algorithms_enabled()


def test_the_cpu_computes_in_float32():
    with autocast(torch.device("cpu"), enabled=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
