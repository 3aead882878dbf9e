from __future__ import annotations

import numpy as np
import pytest
import torch

from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.training.candidate import CandidateFitness


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny tensors only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """Eight videos of four subjects, D = 4, three classes, in the MS-TCN layout."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "tiny"
    for name in ("features", "groundTruth", "splits"):
        (folder / name).mkdir(parents=True)
    classes = ("background", "pour", "stir")
    (folder / "mapping.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(classes)))
    names = [f"S{subject}_Tea_C{take}" for subject in range(1, 6) for take in (1, 2)]
    generator = np.random.default_rng(0)
    for name in names:
        labels = np.repeat(generator.integers(0, 3, 4), generator.integers(4, 9, 4))
        features = generator.normal(size=(4, len(labels))).astype(np.float32)
        features[0] += 3 * labels
        np.save(folder / "features" / f"{name}.npy", features)
        (folder / "groundTruth" / f"{name}.txt").write_text("".join(f"{classes[i]}\n" for i in labels))
    for bundle, members in (("train", names[:8]), ("test", names[8:])):
        (folder / "splits" / f"{bundle}.split1.bundle").write_text("".join(f"{n}.txt\n" for n in members))
    return DataConfig(data_root=root, dataset="tiny")


@pytest.fixture
def fitness(tiny_data):
    """A fitness that trains some milliseconds; an epoch has 3 steps."""
    return CandidateFitness(
        data=tiny_data,
        backbone=BackboneConfig(stages=2, layers=2, feature_maps=8),
        recipe=RecipeConfig(batch_size=2),
        device="cpu",
    )
