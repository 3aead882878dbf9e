from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.inference.predictor import VideoPrediction
from g2l.inference.segments import Format
from g2l.inference.smoothing import Smoothing, SmoothingKind
from g2l.inference.writers import Outputs, PredictionWriter

MIN_DURATION = Smoothing(kind=SmoothingKind.MIN_DURATION, duration="2")
EVERYTHING = Outputs(formats=tuple(Format), probabilities=True, plots="svg")


def prediction(name, labels):
    probabilities = np.eye(3, dtype=np.float32)[:, labels]
    return VideoPrediction(name, Path(f"{name}.npy"), np.asarray(labels, np.int64), probabilities)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_labels_and_segments_are_written_always(metadata, tmp_path):
    writer = PredictionWriter(tmp_path / "out", metadata)
    rows = writer.add(prediction("a.b", [0, 1, 1]))
    writer.add(prediction("c", [2]))
    assert [row.label for row in rows] == ["background", "cut"]
    assert not (tmp_path / "out" / "segments.csv").exists()
    assert writer.finish() == tmp_path / "out" / "segments.csv"
    assert files(tmp_path / "out") == ["a.b.txt", "c.txt", "segments.csv"]
    assert (tmp_path / "out" / "a.b.txt").read_text() == "background\ncut\ncut\n"
    lines = (tmp_path / "out" / "segments.csv").read_text().splitlines()
    assert lines[1:] == [
        "a.b,0,background,0,1,0.000,0.033,1.0000,0.0000",
        "a.b,1,cut,1,3,0.033,0.100,1.0000,0.0000",
        "c,0,pour,0,1,0.000,0.033,1.0000,0.0000",
    ]


def test_everything_else_is_written_when_asked_for(metadata, tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "v.txt").write_text("cut\ncut\nstir\n")
    writer = PredictionWriter(tmp_path / "out", metadata, EVERYTHING, ground_truth=tmp_path / "truth")
    for name in ("v", "without-truth"):
        writer.add(prediction(name, [1, 2, 2]))
    suffixes = ("", ".eaf", ".json", ".probabilities.npy", ".srt", ".svg", ".txt")
    assert files(tmp_path / "out") == sorted(
        f"{name}{suffix}" for name in ("v", "without-truth") for suffix in suffixes
    )
    saved = np.load(tmp_path / "out" / "v.probabilities.npy", allow_pickle=False)
    np.testing.assert_array_equal(saved, np.eye(3, dtype=np.float32)[:, [1, 2, 2]])
    assert (tmp_path / "out" / "v").read_text() == "### Frame level recognition: ###\ncut pour pour\n"
    assert "00:00:00,033 --> 00:00:00,100\npour" in (tmp_path / "out" / "v.srt").read_text()
    for name in ("v", "without-truth"):
        assert (tmp_path / "out" / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_plots_find_the_ground_truth_in_any_unicode_form(metadata, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("g2l.inference.writers.strips", lambda videos, *_: drawn.append(videos))
    monkeypatch.setattr("g2l.inference.writers.save_figure", lambda path, figure: None)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "e\u0301clair.txt").write_text("cut\n")
    outputs = Outputs(plots="svg")
    writer = PredictionWriter(tmp_path / "out", metadata, outputs, ground_truth=tmp_path / "truth")
    writer.add(prediction("\u00e9clair", [1]))
    ((video,),) = drawn
    assert set(video.rows) == {"ground truth", "prediction"}


def test_smoothed_labels_are_written_everywhere_and_what_they_were_is_kept(metadata, tmp_path):
    outputs = Outputs(formats=(Format.JSON, Format.MSTCN), smoothing=MIN_DURATION)
    writer = PredictionWriter(tmp_path, metadata, outputs)
    (row,) = writer.add(prediction("v", [1, 1, 2, 1]))
    writer.finish()
    assert (row.label, row.start_frame, row.end_frame) == ("cut", 0, 4)
    # The label of the third frame has probability 0 now.
    assert (row.confidence, row.entropy) == (0.75, 0)
    assert (tmp_path / "v.txt").read_text() == "cut\n" * 4
    assert (tmp_path / "v").read_text().splitlines()[1] == "cut cut cut cut"
    assert len((tmp_path / "segments.csv").read_text().splitlines()) == 2
    assert (tmp_path / "unsmoothed" / "v.txt").read_text() == "cut\ncut\npour\ncut\n"
    # Without smoothing there is nothing to compare with any more.
    PredictionWriter(tmp_path, metadata).add(prediction("v", [1, 1, 2, 1]))
    assert files(tmp_path / "unsmoothed") == []


@pytest.mark.parametrize("outputs", [EVERYTHING, replace(EVERYTHING, smoothing=MIN_DURATION), Outputs()])
def test_the_files_of_the_last_video_are_known_and_the_labels_come_last(metadata, tmp_path, outputs):
    writer = PredictionWriter(tmp_path, metadata, outputs)
    writer.add(prediction("a", [1, 1, 2]))
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(writer.files) == there == {tmp_path / name for name in writer.names("a")}
    assert writer.files[-1] == tmp_path / "a.txt"
    writer.add(prediction("b", [1]))
    assert set(writer.files).isdisjoint(there)


@pytest.mark.parametrize("name", ["../v", "/tmp/v", "..", "", "a\\b", "a\nb", "ä" * 101])
def test_a_name_cannot_leave_the_folder(metadata, tmp_path, name):
    with pytest.raises(InputError, match="expected the name of a video, but it"):
        PredictionWriter(tmp_path / "out", metadata, EVERYTHING).add(prediction(name, [0]))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("outputs", "names", "file", "owner"),
    [
        (Outputs(formats=(Format.MSTCN,)), ["a", "a.txt"], "a.txt", "video 'a'"),
        (Outputs(formats=(Format.JSON,)), ["metrics"], "metrics.json", "the folder itself"),
        (Outputs(formats=(Format.MSTCN,)), ["segments.csv"], "segments.csv", "the folder itself"),
        (Outputs(formats=(Format.MSTCN,)), ["unsmoothed"], "unsmoothed", "the folder itself"),
    ],
)
def test_no_file_takes_the_place_of_another(metadata, tmp_path, outputs, names, file, owner):
    message = rf"{file}: would belong to video '{names[-1]}', but is of {owner}\."
    claiming = PredictionWriter(tmp_path, metadata, outputs)
    for name in names[:-1]:
        claiming.claim(name)
    with pytest.raises(InputError, match=message):
        claiming.claim(names[-1])
    for name in (*names, *names):
        PredictionWriter(tmp_path, metadata).claim(name)


def test_what_cannot_be_written_is_told_before_anything_is_predicted(metadata, tmp_path):
    timeless = replace(metadata, fps=None)
    for each in (Format.EAF, Format.SRT):
        with pytest.raises(InputError, match=f"format {each} needs times"):
            PredictionWriter(tmp_path / "out", timeless, Outputs(formats=(each,)))
        PredictionWriter(tmp_path / each, timeless, Outputs(formats=(each,), fps=15.0))
    with pytest.raises(InputError, match="this model does not hold"):
        PredictionWriter(tmp_path / "out", metadata, Outputs(smoothing=Smoothing(kind=SmoothingKind.VITERBI)))
    with pytest.raises(InputError, match=r"`fps` must be > 0 and finite, but is -1\.0 instead\."):
        PredictionWriter(tmp_path / "out", metadata, Outputs(fps=-1.0))
    assert not (tmp_path / "out").exists()


def test_class_names_without_a_font_are_warned_of_once(metadata, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(
        "g2l.inference.writers.undrawable", lambda names: [name for name in names if name != "cut"]
    )
    writer = PredictionWriter(tmp_path, metadata, Outputs(plots="pdf"))
    for name in ("a", "b"):
        writer.add(prediction(name, [1]))
    assert caplog.messages == ["plots: no installed font has the glyphs of background, pour."]
