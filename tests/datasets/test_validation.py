from __future__ import annotations

from pathlib import Path

import numpy as np

from g2l.datasets.errors import DataError, DataWarning, condense
from g2l.datasets.validation import validate_dataset
from tests.datasets.conftest import LENGTHS, TinyDataset, random_features


def test_a_sound_data_set_has_facts_and_no_issues(tiny: TinyDataset) -> None:
    report = validate_dataset(tiny.config(split=99))
    assert report.issues == ()
    facts = report.facts
    assert (facts.videos, facts.frames, facts.feature_dim, facts.longest) == (5, 122, 4, 30)
    assert facts.splits == {1: (4, 1)}
    assert list(facts.class_counts) == ["background", "cut", "stir"]
    assert sum(facts.class_counts.values()) == 122


def test_every_fault_is_listed_at_once(tiny: TinyDataset) -> None:
    tiny.write("mapping.txt", "0 background\n1 cut\nx\n2 stir\n3 never\n")
    tiny.bundle("train", [*LENGTHS, "S1_A", "../up", "S5_A"])
    tiny.bundle("train", [], split=2)
    bad = random_features("S1_A", 20)
    bad[0, 3] = np.inf
    tiny.features("S1_A", bad)
    tiny.write("features/S1_B.npy", b"")
    tiny.labels("S2_A", ["cut"] * 10 + ["chop"] * 20)
    tiny.features("S3_A", random_features("S3_A", 99))
    report = validate_dataset(tiny.config())
    errors = [str(issue).rpartition("tiny/")[2] for issue in report.errors]
    expected = [
        "mapping.txt:3: expected `<index> <class name>`, but found 'x' instead.",
        "splits/train.split1.bundle:6: video 'S1_A' must occur once, but is also in line 1.",
        "splits/train.split1.bundle:7: expected the file name of a video, but '../up.txt' holds a path",
        "splits/test.split1.bundle:1: test video 'S4_A' must not be trained on, but is in",
        "splits/test.split2.bundle: no such bundle; split 2 needs it.",
        "features/S1_B.npy: expected a numpy array (.npy), but it is empty.",
        "groundTruth/S2_A.txt:11: class 'chop' is not in the mapping.",
        "splits/train.split1.bundle:8: video 'S5_A' has no features/S5_A.npy.",
        "splits/train.split1.bundle:8: video 'S5_A' has no groundTruth/S5_A.txt.",
        "groundTruth/S3_A.txt has 27 labels; they may differ by at most 16.",
        "features/S1_A.npy: features must be finite, but row 0 of frame 3 is inf instead",
    ]
    for text in expected:
        assert any(error.startswith(text) for error in errors), text
    assert len(errors) == len(expected)


def test_warnings_stop_nothing(tiny: TinyDataset) -> None:
    tiny.features("S1_A", np.ones((4, 19), np.float32))
    tiny.features("unused.v1", random_features("u", 3))
    tiny.write("groundTruth/S1_B.txt", "cut\n\n" + "stir\n" * 23 + "\n\n")
    tiny.bundle("train", ["S1_A"], split=3)
    tiny.bundle("test", ["S4_A"], split=3)
    report = validate_dataset(tiny.config())
    assert report.errors == ()
    tiny.open()
    warnings = "\n".join(map(str, report.issues))
    for text in (
        "features/S1_A.npy: has 19 frames, but ",
        "features/S1_A.npy: all frames have the same features.",
        "groundTruth/S1_B.txt:2: is blank and skipped",
        "features: 1 files are in no bundle (unused.v1.npy, for example).",
        "train.split3.bundle: a hold-out needs at least 2 training videos",
    ):
        assert text in warnings
    assert len(report.issues) == 5


def test_frames_first_files_and_absent_classes_are_warnings(tiny: TinyDataset) -> None:
    tiny.write("mapping.txt", "0 background\n1 cut\n2 stir\n3 never\n")
    for name, frames in LENGTHS.items():
        tiny.features(name, random_features(name, frames).T)
    report = validate_dataset(tiny.config())
    assert report.errors == ()
    assert ["turned round" in str(report.issues[0]), "'never'" in str(report.issues[1])] == [True, True]
    assert report.facts.class_counts["never"] == 0


def test_features_of_different_scales_are_worth_normalising(tiny: TinyDataset) -> None:
    for name, frames in LENGTHS.items():
        tiny.features(name, random_features(name, frames) * np.array([[1], [1], [1], [1000]]))
    assert [text for text in map(str, validate_dataset(tiny.config()).issues) if "--normalize train" in text]
    assert validate_dataset(tiny.config(normalize="train")).issues == ()


def test_issues_that_differ_in_names_and_numbers_are_of_one_kind() -> None:
    alike = [DataError(Path(f"{n}.npy"), n, f"has {n} frames, but f/{n}.txt has '{n}'.") for n in range(5)]
    other = DataWarning(Path("a"), None, alike[0].reason)
    assert condense([*alike, other], 2) == [(alike[0], 0), (alike[1], 3), (other, 0)]
