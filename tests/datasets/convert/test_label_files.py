"""Labels of lists of frames and of MATLAB files, mappings, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from label_files import FRAMES, LABELS, Source, eaf, written
from scipy.io import savemat

from g2l.config import DataConfig
from g2l.datasets.convert.plan import write_conversion
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.facts import read_dataset_facts
from g2l.files import write_json


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def test_lists_a_little_shorter_than_the_features_are_not_filled(source: Source) -> None:
    source.lists()
    source.label("P1_a.txt", "cut\n" * 14)
    source.label("P2_a.txt", "cut\n" * 43)
    plan = source.plan()
    assert [(issue.severity, issue.path.name, issue.reason) for issue in plan.issues] == [
        (
            "warning",
            "P1_a.txt",
            "has labels of 14 frames, but the video has 30 frames; the first 14 are used.",
        ),
        ("warning", "P2_a.txt", "'cut' ends at frame 43, but the video has 40 frames: it is clipped."),
    ]
    assert {name: len(labels) for name, labels in written(plan).items()} == {"P1_a": 14, "P2_a": 40}


def test_faults_of_lists(source: Source) -> None:
    source.label("P1_a.txt", "cut\n\nidle\n" * 10)
    source.label("P2_a.txt", "cut\n" * 23)
    source.label("P3_a.txt", "\n\n")
    assert source.errors()[:3] == [
        "P1_a.txt:2: expected a class name, but '' is empty.",
        "P1_a.txt:5: expected a class name, but '' is empty.",
        "P1_a.txt:8: expected a class name, but '' is empty.",
    ]
    assert source.errors()[10:] == [
        "P3_a.txt:None: expected one class name a line, but it is empty.",
        f"P3_a.txt:1: video 'P3_a' has no features in {source.root / 'features'}.",
        "P2_a.txt:None: has labels of 23 frames, but the video has 40 frames; they may differ by at most 16.",
    ]
    source.label("P1_a.txt", b"\xe9\n")
    assert source.errors()[0] == "P1_a.txt:1: expected UTF-8 text, but found byte 0xe9 instead."


def test_a_mapping_is_kept_and_labels_must_be_in_it(source: Source) -> None:
    source.lists()
    mapping = source.root / "mapping.txt"
    mapping.write_text("0 idle\n1 cut\n2 never\n")
    plan = source.plan(mapping=mapping)
    assert (write_conversion(plan) / "mapping.txt").read_text() == mapping.read_text()
    mapping.write_text("0 idle\n1 cup\n")
    (issue,) = source.plan(mapping=mapping, dataset="other").errors
    assert (issue.path.name, issue.line, issue.hint) == ("P1_a.txt", 11, "did you mean cup?")
    mapping.write_text("0 idle\n0 cut\n")
    assert "mapping.txt:2: index 0 must occur once" in source.errors(mapping=mapping, dataset="other")[0]


def test_class_numbers_of_matlab(source: Source) -> None:
    for path in (source.root / "features").iterdir():
        path.unlink()
    for name, frames in FRAMES.items():
        numbers = np.repeat([1, 0], [10, frames - 10])
        savemat(source.root / "features" / f"{name}.mat", {"X": np.ones((frames, 3)), "Y": numbers})
    mapping = source.root / "mapping.txt"
    mapping.write_text("0 cut\n1 idle\n")
    assert written(source.plan(segments=None, mapping=mapping)) == LABELS
    plain = source.plan(segments=None, dataset="plain")
    assert list(plain.facts.class_counts) == ["0", "1"]
    savemat(source.root / "features" / "P1_a.mat", {"X": np.ones((30, 3)), "Y": np.full(30, 2)})
    savemat(source.root / "features" / "P2_a.mat", {"X": np.ones((40, 3)), "Y": np.full(40, 0.5)})
    savemat(source.root / "features" / "P3_a.mat", {"X": np.ones((40, 3))})
    assert source.errors(segments=None, mapping=mapping, dataset="other")[:3] == [
        "P1_a.mat:None: class 2 of frame 0 is not in the mapping of 2 classes.",
        "P2_a.mat:None: expected a whole number for each frame in Y.",
        "P3_a.mat:None: expected the labels in a variable `Y`, but there is none.",
    ]


def test_the_frame_rate_of_extracted_features_is_known(source: Source) -> None:
    facts = {"schema": "g2l.features/1", "fps": 10, "encoder": {"sha256": "0" * 64}}
    write_json(source.root / "features" / "features.json", facts)
    for name in FRAMES:
        source.label(f"{name}.eaf", eaf())
    assert source.errors(fps=12) == [
        "features.json:None: the features have 10 frames per second, but --fps is 12."
    ]
    plan = source.plan()
    assert written(plan)["P1_a"].count("cut") == 10
    assert (plan.path / "features.json").read_bytes() == (
        source.root / "features" / "features.json"
    ).read_bytes()


def test_what_holds_no_labels(source: Source) -> None:
    assert "but the folder holds none." in source.errors()[0]
    assert (
        "notes.md:None: expected a table of segments"
        in source.errors(segments=source.label("notes.md", ""))[0]
    )
    (source.root / "labels" / "notes.md").unlink()
    source.lists()
    assert source.errors(tier="a")[0] == "labels:None: has no tiers: --tier is for files of ELAN."
    source.label("P1_a.eaf", eaf())
    assert (
        source.errors()[0] == "labels:None: expected labels of one kind, but found 1 .eaf and 2 .txt files."
    )
    (issue,) = source.plan(segments=None).errors
    assert issue.reason == "has no labels, which only .mat files hold beside the features."
    assert source.errors(segments=source.root / "none.csv")[0] == "none.csv:None: no such file."
    assert source.errors(segments=source.root / "none.eaf", fps=3)[0] == "none.eaf:None: no such file."


def test_labels_of_every_frame_at_another_rate(source: Source) -> None:
    for name, labels in LABELS.items():
        source.label(f"{name}.txt", "\n".join(label for label in labels for _ in range(2)) + "\n")
    plan = source.plan(fps=10.0, label_fps=20.0)
    (issue,) = plan.issues
    assert issue.reason == (
        "labels resampled from 20 to 10 frames per second: 140 labelled frames became 70; 0 segments shorter "
        "than a frame were left out."
    )
    assert written(plan) == LABELS
    assert read_dataset_facts(plan.path)["fps"] == 10.0


def test_labels_that_begin_later_leave_background(source: Source) -> None:
    source.lists()
    plan = source.plan(fps=10.0, offset=0.5)
    assert written(plan)["P2_a"] == ["background"] * 5 + ["idle"] * 10 + ["cut"] * 25
    (issue,) = source.plan(offset=0.5, dataset="other").errors
    assert "times are shifted or scaled, and the frame rate of the features is unknown" in issue.reason


def test_a_tolerance_of_ones_own_and_features_cut_to_their_labels(source: Source) -> None:
    source.label("P1_a.txt", "cut\n" * 8)
    source.label("P2_a.txt", "cut\n" * 40)
    assert "they may differ by at most 16" in source.errors()[0]
    plan = source.plan(length_tolerance=22)
    assert plan.errors == ()
    assert len(written(plan)["P1_a"]) == 8
    assert np.load(plan.path / "features/P1_a.npy").shape == (3, 8)
    assert SegmentationDataset.open(DataConfig(data_root=plan.path.parent, dataset="mine")).notices == ()


def test_folders_of_tables_and_of_breakfasts_lists_in_folders(source: Source) -> None:
    for name in FRAMES:
        folder = source.root / "features" / name[:2]
        folder.mkdir()
        (source.root / "features" / f"{name}.npy").rename(folder / f"{name}.npy")
    source.label("P1_a.txt", "1-10 idle\n11-30 cut\n")
    source.label("P2_a.txt", "0 10 idle\n10 40 cut\n")
    assert written(source.plan()) == LABELS
    for name in FRAMES:
        (source.root / "labels" / f"{name}.txt").unlink()
        source.label(f"{name}.csv", f"start;end;label\n0;10;idle\n10;{FRAMES[name]};cut\n")
    assert written(source.plan(dataset="tables")) == LABELS


def test_what_a_data_set_keeps(source: Source) -> None:
    table = source.label("s.csv", "video,label,start_s,end_s\nP1_a,cut,0,2\nP2_a,cut,1,4\n")
    plan = source.plan(segments=table, fps=10.0, background="idle", group_pattern="^(P.)")
    write_conversion(plan)
    facts = read_dataset_facts(plan.path)
    assert (facts["fps"], facts["group_pattern"], facts["background"]) == (10.0, "^(P.)", ("idle",))
    dataset = SegmentationDataset.open(DataConfig(data_root=plan.path.parent, dataset="mine"))
    assert (dataset.fps, dataset.background) == (10.0, ("idle",))
