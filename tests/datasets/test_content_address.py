from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g2l.config import Normalization
from g2l.datasets.content_address import WHOLE_BYTES
from g2l.errors import InputError
from tests.datasets.conftest import LENGTHS, TRAIN, TinyDataset, random_features


def test_the_folder_and_its_times_do_not_matter(
    tiny: TinyDataset, make_tiny: Callable[[Path], TinyDataset], tmp_path: Path
) -> None:
    other = make_tiny(tmp_path / "elsewhere")
    other.path.joinpath("mapping.txt").write_bytes(b"2 stir\r\n0 background\r\n1 cut")
    assert other.open().fingerprint == tiny.open().fingerprint
    assert len(tiny.open().fingerprint) == 16


def test_settings_that_change_no_data_do_not_matter(tiny: TinyDataset) -> None:
    same = tiny.open(cache_mb=0, length_tolerance=3, fps=15.0, group_pattern="^(S.)")
    assert same.fingerprint == tiny.open().fingerprint


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


def test_the_seed_matters_where_it_changes_the_hold_out(tiny: TinyDataset) -> None:
    assert len({tiny.open(seed=seed).fingerprint for seed in range(8)}) == 3


def _one_feature(tiny: TinyDataset) -> None:
    features = random_features("S2_A", 30)
    features[3, 17] += 1e-3
    tiny.features("S2_A", features)


def _one_label(tiny: TinyDataset) -> None:
    tiny.labels("S2_A", ["cut"] + ["stir"] * 29)


def _class_name(tiny: TinyDataset) -> None:
    tiny.write("mapping.txt", "0 background\n1 chop\n2 stir\n")
    for name, frames in LENGTHS.items():
        text = (tiny.path / "groundTruth" / f"{name}.txt").read_text().replace("cut", "chop").split()
        tiny.labels(name, text)
        assert len(text) == frames


def _train_order(tiny: TinyDataset) -> None:
    tiny.bundle("train", TRAIN[::-1])


def _fewer_videos(tiny: TinyDataset) -> None:
    tiny.bundle("train", TRAIN[:3])


def _test_moves(tiny: TinyDataset) -> None:
    tiny.bundle("train", ["S4_A", *TRAIN[1:]])
    tiny.bundle("test", ["S1_A"])


@pytest.mark.parametrize(
    "change", [_one_feature, _one_label, _class_name, _train_order, _fewer_videos, _test_moves]
)
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


def test_a_file_that_went_away_is_an_input_error(tiny: TinyDataset) -> None:
    dataset = tiny.open()
    (tiny.path / "features/S1_A.npy").unlink()
    with pytest.raises(InputError, match=r"S1_A\.npy: cannot be read"):
        _ = dataset.fingerprint
