from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from g2l.config import Normalization, Selection
from g2l.datasets.dataset import FeatureCache, SegmentationDataset
from tests.datasets.conftest import LENGTHS, TinyDataset, random_features

QUARTER = np.zeros((64, 1024), np.float32)  # 0.25 MiB


def test_what_does_not_fit_is_not_kept_and_drops_nothing() -> None:
    cache = FeatureCache(1)
    for name in "abcde":
        assert cache.put(name, QUARTER) is QUARTER
    assert [cache.get(name) is QUARTER for name in "abcde"] == [True] * 4 + [False]


STORED = {
    "plain": lambda features: features,
    "float64": lambda features: features.astype(np.float64),
    "big-endian": lambda features: features.astype(">f4"),
    "columns contiguous": np.asfortranarray,
    "frames first": lambda features: np.ascontiguousarray(features.T),
    "longer than its labels": lambda features: np.concatenate([features, features[:, :2]], axis=1),
}


def standardized(tiny: TinyDataset, **settings: object) -> SegmentationDataset:
    dataset = tiny.open(**settings)
    return dataset.standardized_on(dataset.partitions(Selection.BEST).train)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize(
    "settings", [{}, {"sample_rate": 3}, *({"normalize": kind} for kind in Normalization)], ids=str
)
def test_shared_features_are_bit_for_bit_those_in_ram(
    tiny: TinyDataset, tmp_path: Path, stored: str, settings: dict[str, object]
) -> None:
    for name, frames in LENGTHS.items():
        tiny.features(name, STORED[stored](random_features(name, frames)))
    folder = tmp_path / "shared"
    alone = standardized(tiny, **settings)
    first, second = (standardized(tiny, **settings).shared_in(folder) for _ in range(2))
    for name in LENGTHS:
        expected = alone.load(name)
        for dataset in (first, first, second):  # which writes, which has mapped, which finds
            video = dataset.load(name)
            assert video.features.tobytes() == expected.features.tobytes()
            assert (video.features.shape, video.features.dtype) == (expected.features.shape, np.float32)
            assert video.features.flags.c_contiguous
            assert isinstance(video.features, np.memmap)
            np.testing.assert_array_equal(video.targets, expected.targets)
    as_used = stored == "plain" and settings in ({}, {"normalize": Normalization.NONE})
    assert len(files(folder)) == (0 if as_used else len(LENGTHS))


def test_where_nothing_can_be_written_each_process_has_its_own(
    tiny: TinyDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shared").write_text("a file")
    with caplog.at_level(logging.WARNING, logger="g2l"):
        video = tiny.open(sample_rate=2).shared_in(tmp_path / "shared").load("S1_A")
    np.testing.assert_array_equal(video.features, random_features("S1_A", 20)[:, ::2])
    assert "video 'S1_A' cannot be shared between processes" in caplog.text
