from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.inference.predictor import VideoPrediction
from g2l.inference.writers import PredictionWriter


def prediction(name, labels):
    probabilities = np.eye(3, dtype=np.float32)[:, labels]
    return VideoPrediction(name, Path(f"{name}.npy"), np.asarray(labels, np.int64), probabilities)


def test_labels_and_segments_are_written_always(metadata, tmp_path):
    writer = PredictionWriter(tmp_path / "out", metadata)
    rows = writer.add(prediction("a.b", [0, 1, 1]))
    writer.add(prediction("c", [2]))
    assert [row.label for row in rows] == ["background", "cut"]
    assert not (tmp_path / "out" / "segments.csv").exists()
    assert writer.finish() == tmp_path / "out" / "segments.csv"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.b.txt", "c.txt", "segments.csv"]
    assert (tmp_path / "out" / "a.b.txt").read_text() == "background\ncut\ncut\n"
    lines = (tmp_path / "out" / "segments.csv").read_text().splitlines()
    assert lines[1:] == [
        "a.b,0,background,0,1,0.000,0.033,1.0000",
        "a.b,1,cut,1,3,0.033,0.100,1.0000",
        "c,0,pour,0,1,0.000,0.033,1.0000",
    ]


def test_everything_else_is_written_when_asked_for(metadata, tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "v.txt").write_text("cut\ncut\nstir\n")
    options = {"probabilities": True, "mstcn": True, "plots": True, "ground_truth": tmp_path / "truth"}
    writer = PredictionWriter(tmp_path / "out", metadata, **options)
    for name in ("v", "without-truth"):
        writer.add(prediction(name, [1, 2, 2]))
    saved = np.load(tmp_path / "out" / "v.probabilities.npy", allow_pickle=False)
    np.testing.assert_array_equal(saved, np.eye(3, dtype=np.float32)[:, [1, 2, 2]])
    assert (tmp_path / "out" / "v").read_text() == "### Frame level recognition: ###\ncut pour pour\n"
    for name in ("v", "without-truth"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["../v", "/tmp/v", "..", "", "a\\b", "a\nb"])
def test_a_name_cannot_leave_the_folder(metadata, tmp_path, name):
    with pytest.raises(InputError, match="expected the name of a video, but it"):
        PredictionWriter(tmp_path / "out", metadata).add(prediction(name, [0]))
    assert not list((tmp_path / "out").iterdir())


def test_a_class_name_with_a_space_is_refused_for_recognition_files_only(metadata, tmp_path):
    spaced = replace(metadata, classes=("a b", "cut", "pour"))
    PredictionWriter(tmp_path, spaced).add(prediction("v", [0]))
    assert (tmp_path / "v.txt").read_text() == "a b\n"
    with pytest.raises(InputError, match="separate class names by spaces"):
        PredictionWriter(tmp_path, spaced, mstcn=True).add(prediction("v", [0]))


def test_a_file_is_no_output_folder(metadata, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="cannot be used as an output folder"):
        PredictionWriter(tmp_path / "out", metadata)
