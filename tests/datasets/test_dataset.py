from __future__ import annotations

import copy
import logging
import subprocess
import sys

import numpy as np
import pytest

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.datasets.errors import DataError
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


def test_lengths_that_differ_too_much_name_both_files_and_lengths(tiny: TinyDataset) -> None:
    tiny.features("S2_A", random_features("S2_A", 35))
    message = r"S2_A\.npy: has 35 frames, but .*S2_A\.txt has 30 labels; they may differ by at most 4\."
    with pytest.raises(InputError, match=message):
        tiny.open(length_tolerance=4)
    assert tiny.open(length_tolerance=5).num_frames("S2_A") == 30


def test_a_video_that_is_absent_is_named_with_its_line_in_the_bundle(tiny: TinyDataset) -> None:
    tiny.bundle("train", ["S1_A", "S1_b"])
    message = r"train\.split1\.bundle:2: video 'S1_b' has no features/S1_b\.npy\."
    with pytest.raises(InputError, match=message) as caught:
        tiny.open()
    assert caught.value.hint is not None
    assert "S1_B" in caught.value.hint
    (tiny.path / "groundTruth/S1_A.txt").unlink()
    with pytest.raises(InputError, match=r"bundle:1: video 'S1_A' has no groundTruth/S1_A\.txt\."):
        tiny.open()


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
