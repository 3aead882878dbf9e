from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from g2l.errors import InputError
from g2l.training.device import autocast, resolve_device, seed_everything


@pytest.mark.parametrize(
    ("gpu", "name", "device"),
    [(False, "auto", "cpu"), (True, "auto", "cuda"), (True, "cuda", "cuda"), (True, "cpu", "cpu")],
)
def test_auto_takes_the_gpu_where_there_is_one(monkeypatch, gpu, name, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert resolve_device(name) == torch.device(device)


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="`device` is cuda, but torch finds no usable GPU") as caught:
        resolve_device("cuda")
    assert "--device auto" in caught.value.hint


def test_an_unknown_device_is_refused_with_the_choices():
    with pytest.raises(InputError, match="must be one of auto, cpu, cuda, but is 'gpu' instead"):
        resolve_device("gpu")


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
