from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g2l.config import DataConfig
from g2l.datasets import facts
from g2l.datasets.dataset import SegmentationDataset

CLASSES = ("background", "cut", "stir")
TRAIN = ("S1_A", "S1_B", "S2_A", "S3_A")
TEST = ("S4_A",)
LENGTHS = {"S1_A": 20, "S1_B": 24, "S2_A": 30, "S3_A": 27, "S4_A": 21}
FEATURE_DIM = 4


class TinyDataset:
    """A small data set on disk whose files tests spoil one at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "tiny"
        for folder in ("features", "groundTruth", "splits"):
            (self.path / folder).mkdir(parents=True)
        self.write("mapping.txt", "".join(f"{i} {name}\n" for i, name in enumerate(CLASSES)))
        self.bundle("train", TRAIN)
        self.bundle("test", TEST)
        for name, frames in LENGTHS.items():
            self.features(name, random_features(name, frames))
            self.labels(name, [CLASSES[frame * 3 // frames] for frame in range(frames)])

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def bundle(self, side: str, names: Sequence[str], split: int = 1) -> Path:
        return self.write(f"splits/{side}.split{split}.bundle", "".join(f"{n}.txt\n" for n in names))

    def features(self, name: str, features: np.ndarray[Any, Any]) -> Path:
        path = self.path / "features" / f"{name}.npy"
        np.save(path, features)
        return path

    def labels(self, name: str, labels: Sequence[str]) -> Path:
        return self.write(f"groundTruth/{name}.txt", "\n".join(labels) + "\n")

    def config(self, **settings: Any) -> DataConfig:
        return DataConfig(data_root=self.root, dataset="tiny", **settings)

    def open(self, *, quiet: bool = False, **settings: Any) -> SegmentationDataset:
        return SegmentationDataset.open(self.config(**settings), quiet=quiet)


def random_features(name: str, frames: int) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(sum(map(ord, name)))
    return generator.standard_normal((FEATURE_DIM, frames)).astype(np.float32)


@pytest.fixture(autouse=True)
def _report_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test see the warnings that a process logs once."""
    monkeypatch.setattr(facts, "_reported", set())


@pytest.fixture
def tiny(tmp_path: Path) -> TinyDataset:
    return TinyDataset(tmp_path / "data")


@pytest.fixture
def make_tiny() -> Callable[[Path], TinyDataset]:
    return TinyDataset
