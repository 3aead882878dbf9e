from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from g2l.config import LocalSearchConfig
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import SearchSchedule, structure
from g2l.search.local_search import give_branches
from g2l.structure import DilationStructure


def planted_lag(lag: int, seed: int, videos: int = 8, frames: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Two smooth signals; the class of a frame is the signs they had `lag` frames before."""
    generator = np.random.default_rng(seed)
    bell = np.exp(-(np.arange(-32, 33) ** 2) / (2 * 8.0**2))
    noise = generator.standard_normal((videos, 2, frames + lag + len(bell) - 1))
    signals = np.apply_along_axis(np.convolve, 2, noise, bell / np.linalg.norm(bell), "valid")
    targets = (signals[:, 0, :frames] > 0) + 2 * (signals[:, 1, :frames] > 0)
    targets[:, :lag] = -100
    return torch.tensor(signals[..., lag:], dtype=torch.float32), torch.tensor(targets)


@pytest.mark.parametrize(("lag", "rate"), [(41, 32), (23, 16)])
def test_a_planted_lag_is_found_from_a_rate_nearby(lag, rate):
    found = [search_lag(lag, rate, seed) for seed in range(5)]
    assert sum(abs(value - lag) <= 2 for value in found) >= 4, found


def search_lag(lag: int, rate: int, seed: int) -> int:
    features, targets = planted_lag(lag, seed)
    torch.manual_seed(seed)
    model = MSTCN(DilationStructure(((rate,),)), feature_dim=2, num_classes=4, feature_maps=12, dropout=0.0)
    groups = give_branches(model, LocalSearchConfig(), longest_video=features.shape[-1], learning_rate=5e-3)
    optimizer = torch.optim.Adam(groups)
    schedule = SearchSchedule(model, optimizer, interval=10, updates=20)
    while not schedule.finished:
        chosen = torch.randint(len(features), (2,))
        loss = functional.cross_entropy(model(features[chosen])[-1], targets[chosen], ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return next(iter(structure(model).values()))[0]
