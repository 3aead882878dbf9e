from __future__ import annotations

import random
from functools import partial

import pytest
import torch

from g2l.models.candidate_batch import LANES, CandidateBatch
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure

STAGES, LAYERS, CLASSES, FEATURES = 2, 3, 5, 6


def structure(generator):
    return DilationStructure(
        tuple(tuple(2 ** generator.randint(0, 6) for _ in range(LAYERS)) for _ in range(STAGES))
    )


def network(rates, maps=8, dropout=0.5):
    torch.manual_seed(3)
    return MSTCN(rates, feature_dim=FEATURES, num_classes=CLASSES, feature_maps=maps, dropout=dropout)


def batch(videos=2, frames=2 * LANES, valid=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(videos, 1, frames)
    mask[-1, :, frames if valid is None else valid :] = 0
    return torch.randn(videos, FEATURES, frames, generator=generator) * mask, mask


def trained(model, steps=4, **size):
    """Train for some steps on random targets; return the loss of each frame's first class summed."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    torch.manual_seed(1)
    for number in range(steps):
        features, mask = batch(seed=number, **size)
        dtype = next(model.parameters()).dtype
        features, mask = features.to(dtype), mask.to(dtype)
        logits = torch.log_softmax(model(features, mask), dim=2)
        optimizer.zero_grad()
        (-(logits[:, :, 0] * mask[:, 0]).sum()).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_candidate_trains_as_the_network_with_its_rates(dtype, dropout):
    generator = random.Random(0)
    structures = [structure(generator) for _ in range(3)]
    size = {"frames": 3 * LANES, "valid": 37}
    group = trained(CandidateBatch(network(structures[0], dropout=dropout).to(dtype), structures), **size)
    rebuilt = network(structures[0]).to(dtype)
    for number, rates in enumerate(structures):
        alone = trained(network(rates, dropout=dropout).to(dtype), **size)
        group.load_into(rebuilt, number)
        tolerance = 1e-10 if dtype == torch.float64 else 2e-3  # Adam turns tiny gradients into whole steps
        for name, weight in alone.state_dict().items():
            torch.testing.assert_close(
                rebuilt.state_dict()[name], weight, rtol=tolerance, atol=tolerance, msg=name
            )


def test_logits_are_those_of_the_networks():
    structures = [structure(random.Random(seed)) for seed in range(3)]
    group = CandidateBatch(network(structures[0]), structures).eval()
    features, mask = batch(valid=21)
    logits = group(features, mask).unflatten(0, (STAGES, 3))
    for number, rates in enumerate(structures):
        expected = network(rates).eval()(features, mask)
        torch.testing.assert_close(logits[:, number] * mask, expected * mask, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("trial", "threads"), [*((trial, 1) for trial in range(12)), (0, 2), (10, 3), (11, 4)]
)
def test_neither_companions_nor_position_change_a_bit(trial, threads, request):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(threads)
    generator = random.Random(trial)
    size = generator.choice([2, 3, 4])
    maps, videos = generator.choice([4, 5, 8, 16]), generator.choice([1, 2])
    frames = LANES * generator.randint(1, 6)
    candidate = structure(generator)
    seen = []
    for position in range(size):
        structures = [structure(generator) for _ in range(size)]
        if position == 1:
            structures = [candidate] * size
        structures[position] = candidate
        group = CandidateBatch(network(candidate, maps), structures)
        group.clip_gradients(2.0)
        trained(group, videos=videos, frames=frames, valid=frames - 3)
        group.eval()
        with torch.inference_mode():
            logits = group(*batch(videos, frames)).unflatten(0, (STAGES, size))[:, position]
        seen.append((group.weights.detach()[position].clone(), logits.clone()))
    for weights, logits in seen[1:]:
        assert torch.equal(weights, seen[0][0])
        assert torch.equal(logits, seen[0][1])


def test_the_weights_start_as_copies_of_those_of_the_network():
    source, target = network(structure(random.Random(0))), network(structure(random.Random(0)))
    group = CandidateBatch(source, [structure(random.Random(seed)) for seed in range(2)])
    for weight in target.parameters():
        torch.nn.init.zeros_(weight)
    for number in range(2):
        group.load_into(target, number)
        assert all(map(torch.equal, source.state_dict().values(), target.state_dict().values()))


def test_the_gradient_of_each_candidate_is_clipped_by_itself():
    structures = [structure(random.Random(seed)) for seed in range(2)]
    norms = {}
    for clip in (None, 1.0):
        group = CandidateBatch(network(structures[0], dropout=0.0), structures)
        with torch.no_grad():
            group.weights[1] *= 0.01
        if clip is not None:
            group.clip_gradients(clip)
        features, mask = batch()
        group(features, mask).unflatten(0, (STAGES, 2)).square().sum().backward()
        norms[clip] = group.weights.grad.norm(dim=1)
    assert norms[None][0] > 1 > norms[None][1] > 0
    torch.testing.assert_close(
        norms[1.0], torch.stack([torch.tensor(1.0), norms[None][1]]), rtol=1e-4, atol=0
    )


def test_rates_beyond_the_length_look_at_padding_only():
    far = DilationStructure(((200, 1, 64), (1, 1000, 32)))
    features, mask = batch(1, 2 * LANES)
    logits = CandidateBatch(network(far), [far]).eval()(features, mask)
    torch.testing.assert_close(logits, network(far).eval()(features, mask), rtol=1e-4, atol=1e-5)
