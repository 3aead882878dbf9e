from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g2l.config import Normalization
from g2l.datasets.reading import WHOLE_BYTES
from tests.datasets.conftest import LENGTHS, TRAIN, TinyDataset, random_features


def test_the_folder_and_its_times_do_not_matter(
    tiny: TinyDataset, make_tiny: Callable[[Path], TinyDataset], tmp_path: Path
) -> None:
    other = make_tiny(tmp_path / "elsewhere")
    other.path.joinpath("mapping.txt").write_bytes(b"2 stir\r\n0 background\r\n1 cut")
    assert other.open().fingerprint == tiny.open().fingerprint
    assert len(tiny.open().fingerprint) == 16


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 2},
        {"normalize": Normalization.VIDEO},
        {"holdout_fraction": 0.6},
        {"group_pattern": ""},
        {"background": ("stir",)},
    ],
)
def test_settings_that_change_data_or_scores_matter(tiny: TinyDataset, settings: dict[str, Any]) -> None:
    assert tiny.open(**settings).fingerprint != tiny.open().fingerprint


def _one_feature(tiny: TinyDataset) -> None:
    features = random_features("S2_A", 30)
    features[3, 17] += 1e-3
    tiny.features("S2_A", features)


def _one_label(tiny: TinyDataset) -> None:
    tiny.labels("S2_A", ["cut"] + ["stir"] * 29)


def _fewer_videos(tiny: TinyDataset) -> None:
    tiny.bundle("train", TRAIN[:3])


@pytest.mark.parametrize("change", [_one_feature, _one_label, _fewer_videos])
def test_content_matters(tiny: TinyDataset, change: Callable[[TinyDataset], None]) -> None:
    before = tiny.open().fingerprint
    change(tiny)
    assert tiny.open().fingerprint != before


def test_large_files_are_sampled_from_the_first_to_the_last_byte(tiny: TinyDataset) -> None:
    frames = WHOLE_BYTES // 8
    features = np.zeros((4, frames), np.float32)
    tiny.labels("S4_A", ["cut"] * frames)
    tiny.features("S4_A", features)
    prints = {tiny.open().fingerprint}
    for row, frame in ((0, 0), (3, -1), (2, 0)):
        features[row, frame] = 1
        tiny.features("S4_A", features)
        prints.add(tiny.open().fingerprint)
    assert len(prints) >= 3
    tiny.features("S4_A", features.astype(np.float64))
    assert tiny.open().fingerprint not in prints


def test_every_file_that_was_read_has_a_fingerprint(tiny: TinyDataset) -> None:
    before = tiny.open().files
    assert {path.relative_to(tiny.path).as_posix() for path in before} == {
        "mapping.txt",
        *(f"splits/{side}.split1.bundle" for side in ("train", "test")),
        *(f"features/{name}.npy" for name in LENGTHS),
        *(f"groundTruth/{name}.txt" for name in LENGTHS),
    }
    label = tiny.path / "groundTruth/S2_A.txt"
    digest = hashlib.sha256(label.read_bytes()).hexdigest()
    assert before[label] == {"size": label.stat().st_size, "sha256": digest}
    label.touch()  # another time, the same content
    assert tiny.open().files == before
    _one_feature(tiny)
    after = tiny.open().files
    assert [path.name for path in before if before[path] != after[path]] == ["S2_A.npy"]
