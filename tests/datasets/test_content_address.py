from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g2l.config import Normalization
from g2l.datasets.content_address import WHOLE_BYTES, differing_files
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
    with pytest.raises(InputError, match=r"S1_A\.npy: no such file"):
        _ = dataset.fingerprint


def test_file_fingerprints_name_the_files_that_changed(tiny: TinyDataset) -> None:
    before = tiny.open().file_fingerprints()
    assert set(before) == {
        "mapping.txt",
        *(f"splits/{side}.split1.bundle" for side in ("train", "test")),
        *(f"features/{name}.npy" for name in LENGTHS),
        *(f"groundTruth/{name}.txt" for name in LENGTHS),
    }
    label = tiny.path / "groundTruth/S2_A.txt"
    assert before["groundTruth/S2_A.txt"] == {
        "size": label.stat().st_size,
        "sha256": hashlib.sha256(label.read_bytes()).hexdigest(),
    }
    assert differing_files(before, tiny.open().file_fingerprints()) == ()
    label.touch()  # another time, the same content
    assert differing_files(before, tiny.open().file_fingerprints()) == ()
    _one_feature(tiny)
    tiny.labels("S2_A", ["stir"] * 30)
    tiny.bundle("train", TRAIN[:3])
    after = tiny.open().file_fingerprints()
    assert differing_files(before, after) == (
        "features/S2_A.npy",
        "features/S3_A.npy",
        "groundTruth/S2_A.txt",
        "groundTruth/S3_A.txt",
        "splits/train.split1.bundle",
    )


def test_a_file_is_hashed_once_unless_it_changes(tiny: TinyDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny.open().file_fingerprints()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert tiny.open().file_fingerprints() == first
