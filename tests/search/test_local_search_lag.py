"""What the local search finds where the right rate is known, and where there is none."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from torch.nn import functional

from g2l.config import LocalSearchConfig
from g2l.models.ms_tcn import MSTCN
from g2l.receptive_field import SearchSchedule, structure
from g2l.search.local_search import give_branches
from g2l.structure import DilationStructure


def planted_lag(lag: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two smooth signals; the class of a frame is the signs they had `lag` frames before.

    Lags beyond 50 have smoother signals: a branch must see something of what it is to move to.
    """
    videos, frames, width = 8, 400, 8 if lag < 50 else 16
    generator = np.random.default_rng(seed)
    bell = np.exp(-(np.arange(-4 * width, 4 * width + 1) ** 2) / (2 * width**2))
    noise = generator.standard_normal((videos, 2, frames + lag + len(bell) - 1))
    signals = np.apply_along_axis(np.convolve, 2, noise, bell / np.linalg.norm(bell), "valid")
    targets = (signals[:, 0, :frames] > 0) + 2 * (signals[:, 1, :frames] > 0)
    targets[:, :lag] = -100
    return torch.tensor(signals[..., lag:], dtype=torch.float32), torch.tensor(targets)


@pytest.mark.parametrize(("lag", "rate"), [(23, 12), (23, 34), (41, 21), (41, 61), (90, 45), (90, 135)])
def test_a_planted_lag_is_found_from_half_of_it_and_from_half_as_much_again(lag, rate):
    found = [search(*planted_lag(lag, seed), (rate,), seed, updates=20)[0] for seed in range(2)]
    assert all(abs(value - lag) <= 2 for value in found), found


def test_the_published_rule_finds_a_lag_nearby():
    assert abs(search(*planted_lag(41, 0), (32,), 0, updates=20, evidence=False)[0] - 41) <= 2


def test_without_a_signal_no_rate_drifts():
    """Over 20 seeds of shuffled labels, neither the ends of the range nor rates between them drift."""
    start = (1, 4, 32, 100)
    moves = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        features = torch.randn(6, 2, 300, generator=generator)
        targets = torch.randint(4, (6, 300), generator=generator)
        found = search(features, targets, start, seed, updates=6, max_rate=100)
        moves.append([math.log(after / before) for after, before in zip(found, start, strict=True)])
    for layer in zip(*moves, strict=True):
        assert abs(fmean(layer)) <= max(2.5 * stdev(layer) / math.sqrt(len(layer)), 0.05), layer


def search(
    features, targets, rates, seed, *, updates, interval=10, evidence=True, max_rate=None
) -> list[int]:
    torch.manual_seed(seed)
    model = MSTCN(DilationStructure((rates,)), feature_dim=2, num_classes=4, feature_maps=12, dropout=0.0)
    config = LocalSearchConfig(max_rate=max_rate)
    groups = give_branches(model, config, longest_video=features.shape[-1], learning_rate=5e-3)
    optimizer = torch.optim.Adam(groups)
    warm_up = updates * interval // 2 if evidence else 0
    schedule = SearchSchedule(
        model, optimizer, interval=interval, updates=updates, evidence=evidence, warm_up=warm_up
    )
    while not schedule.finished:
        chosen = torch.randint(len(features), (2,))
        loss = functional.cross_entropy(model(features[chosen])[-1], targets[chosen], ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.observe()
        schedule.step()
    return [found for (found,) in structure(model).values()]
