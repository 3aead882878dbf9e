from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from g2l.config import DataConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.synthetic.content import write_dataset
from g2l.datasets.synthetic.kitchen import kitchen
from g2l.datasets.synthetic.lags import lags
from g2l.datasets.validation import validate_dataset
from g2l.errors import InputError, OperationalError


@pytest.mark.parametrize("kind", ["kitchen", "lags"])
def test_what_is_written_is_read_without_issues(tmp_path: Path, kind: str) -> None:
    generator = np.random.default_rng(0)
    data = kitchen(generator, videos=12) if kind == "kitchen" else lags(generator, (20,), videos=12)
    path = write_dataset(tmp_path / "data", "made", data)
    assert path == tmp_path / "data" / "made"
    assert [item.name for item in path.parent.iterdir()] == ["made"]
    config = DataConfig(data_root=tmp_path / "data", dataset="made", split=2)
    assert validate_dataset(config).issues == ()
    dataset = SegmentationDataset.open(config)
    for video in data.videos:
        np.testing.assert_array_equal(dataset.load(video.name).features, video.features)
        np.testing.assert_array_equal(dataset.ground_truth(video.name), video.labels)
    assert dataset.mapping.names == data.class_names
    parts = dataset.partitions(Selection.BEST)
    assert {name[:2] for name in parts.holdout} == {parts.holdout[0][:2]}  # one subject of four


def test_an_existing_data_set_is_never_overwritten(tmp_path: Path) -> None:
    data = lags(np.random.default_rng(0), (5,), videos=3)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"mine: already exists\.") as caught:
        write_dataset(tmp_path, "mine", data)
    assert caught.value.hint == "choose another --dataset, or remove it first."
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_the_name_must_be_a_folder_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="`dataset` must be a folder name below the data root"):
        write_dataset(tmp_path, name, lags(np.random.default_rng(0), (5,), videos=3))


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OperationalError, match=r"made: cannot write \(No space left on device\)\."):
        write_dataset(tmp_path, "made", lags(np.random.default_rng(0), (5,), videos=3))
    assert list(tmp_path.iterdir()) == []
