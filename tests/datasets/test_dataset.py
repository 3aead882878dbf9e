from __future__ import annotations

import copy
import hashlib
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.datasets.errors import DataError
from g2l.datasets.reading import WHOLE_BYTES
from g2l.errors import InputError
from tests.datasets.conftest import LENGTHS, TEST, TRAIN, TinyDataset, random_features


def test_a_sound_data_set_opens_without_notices(tiny: TinyDataset) -> None:
    dataset = tiny.open()
    assert dataset.mapping.names == ("background", "cut", "stir")
    assert dataset.feature_dim == 4
    assert dataset.background_indices == (0,)
    assert dataset.notices == ()
    assert dataset.partitions(Selection.LAST) == Partitions(TRAIN, (), TEST)
    assert dataset.partitions(Selection.BEST).test == TEST
    assert dataset.longest(TRAIN) == 30
    assert dataset.longest(()) == 0


@pytest.mark.parametrize("rate", [1, 2, 3, 40])
def test_subsampling_takes_every_rth_frame_of_features_and_targets(tiny: TinyDataset, rate: int) -> None:
    dataset = tiny.open(sample_rate=rate)
    for name, frames in LENGTHS.items():
        video = dataset.load(name)
        np.testing.assert_array_equal(video.features, random_features(name, frames)[:, ::rate])
        np.testing.assert_array_equal(video.targets, dataset.ground_truth(name)[::rate])
        assert dataset.num_frames(name) == len(video.targets) == video.features.shape[1]
        assert len(dataset.ground_truth(name)) == frames
        repeated = np.repeat(video.targets, rate)[:frames]
        assert len(repeated) == frames


def test_the_second_load_comes_from_ram_and_is_the_same(tiny: TinyDataset) -> None:
    dataset = tiny.open(normalize=Normalization.VIDEO)
    first = dataset.load("S1_A")
    assert dataset.load("S1_A").features is first.features
    uncached = tiny.open(normalize=Normalization.VIDEO, cache_mb=0)
    assert uncached.load("S1_A").features is not uncached.load("S1_A").features
    np.testing.assert_array_equal(uncached.load("S1_A").features, first.features)
    np.testing.assert_allclose(first.features.std(axis=1), 1, rtol=1e-4)


def test_train_statistics_are_those_of_the_given_videos(tiny: TinyDataset) -> None:
    dataset = tiny.open(normalize=Normalization.TRAIN, sample_rate=2)
    with pytest.raises(InputError, match="needs the mean and std of the training frames"):
        dataset.load("S1_A")
    fitted = dataset.standardized_on(("S1_A", "S2_A"))
    frames = np.concatenate([random_features(n, LENGTHS[n])[:, ::2] for n in ("S1_A", "S2_A")], axis=1)
    assert fitted.statistics is not None
    np.testing.assert_allclose(fitted.statistics.mean, frames.mean(axis=1), rtol=1e-4)
    expected = (random_features("S4_A", 21)[:, ::2] - frames.mean(axis=1)[:, None]) / frames.std(axis=1)[
        :, None
    ]
    np.testing.assert_allclose(fitted.load("S4_A").features, expected, rtol=1e-3, atol=1e-5)
    assert dataset.statistics is None
    assert tiny.open().standardized_on(TRAIN).statistics is None


def test_a_missing_data_set_suggests_similar_ones(tiny: TinyDataset) -> None:
    with pytest.raises(InputError, match=r"data/Tinny: no such data set\.") as caught:
        SegmentationDataset.open(tiny.config().replace(dataset="Tinny"))
    assert caught.value.hint == "did you mean tiny?"
    with pytest.raises(InputError) as caught:
        SegmentationDataset.open(tiny.config().replace(dataset="breakfast"))
    assert caught.value.hint == "data sets here: tiny."
    with pytest.raises(InputError, match=r"nowhere: no such folder of data sets\.") as caught:
        SegmentationDataset.open(tiny.config().replace(data_root=tiny.root / "nowhere"))
    assert caught.value.hint == "give the folder that holds data sets with --data-root."
    (tiny.root / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        SegmentationDataset.open(DataConfig(data_root=tiny.root / "empty", dataset="tiny"))
    assert caught.value.hint == "make one with `g2l data synth`."


def test_a_missing_split_lists_those_that_exist(tiny: TinyDataset) -> None:
    tiny.bundle("train", TRAIN, split=12)
    with pytest.raises(
        InputError, match=r"train\.split3\.bundle: no such bundle; split 3 needs it"
    ) as caught:
        tiny.open(split=3)
    assert caught.value.hint == "splits of this data set: 1, 12."
    with pytest.raises(InputError, match=r"test\.split12\.bundle: no such bundle"):
        tiny.open(split=12)
    for path in (tiny.path / "splits").iterdir():
        path.unlink()
    with pytest.raises(InputError) as caught:
        tiny.open()
    assert caught.value.hint == "this data set has no splits."


def test_background_names_must_exist_but_the_default_need_not(tiny: TinyDataset) -> None:
    assert tiny.open(background=("stir", "background")).background_indices == (0, 2)
    assert tiny.open(background=()).background_indices == ()
    tiny.write("mapping.txt", "0 none\n1 cut\n2 stir\n")
    for name in LENGTHS:
        tiny.labels(name, ["cut"] * LENGTHS[name])
    assert tiny.open().background_indices == ()
    with pytest.raises(InputError, match="must name classes of the data set, but 'stiir' is none of them"):
        tiny.open(background=("stiir",))


def test_one_training_video_cannot_give_a_hold_out_but_can_be_trained_on(tiny: TinyDataset) -> None:
    tiny.bundle("train", ["S1_A"])
    dataset = tiny.open()
    assert dataset.partitions(Selection.LAST).train == ("S1_A",)
    with pytest.raises(InputError, match="at least 2 training videos"):
        dataset.partitions(Selection.BEST)
    assert len(dataset.fingerprint) == 16


def test_an_error_keeps_its_fault_across_processes(tiny: TinyDataset) -> None:
    (tiny.path / "mapping.txt").unlink()
    with pytest.raises(DataError, match=r"mapping\.txt: no such file\.") as caught:
        tiny.open()
    rebuilt = copy.copy(caught.value)  # by __reduce__, as pickle does
    assert vars(rebuilt) == vars(caught.value)


def test_reading_data_imports_no_torch() -> None:
    code = "import sys, g2l.datasets.dataset, g2l.datasets.validation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_lengths_that_differ_are_one_line_once_in_a_process(
    tiny: TinyDataset, caplog: pytest.LogCaptureFixture
) -> None:
    for more, (name, frames) in enumerate(LENGTHS.items()):
        tiny.features(name, random_features(name, frames + more))
    with caplog.at_level(logging.WARNING, "g2l"):
        dataset = tiny.open()
        tiny.open()
        tiny.open(quiet=True)
    assert len(caplog.records) == 1
    assert dataset.load("S4_A").features.shape == (4, 21)
    tiny.features("S4_A", random_features("S4_A", 18))
    assert tiny.open().load("S4_A").features.shape == (4, 18)
    record = caplog.records[0]
    assert "S1_B.npy: has 25 frames, but " in record.getMessage()
    assert "are used. 3 more like it: `g2l data validate` lists all." in record.getMessage()
    assert len(dataset.notices) == 4


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
