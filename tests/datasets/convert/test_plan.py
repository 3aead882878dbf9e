from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l import files
from g2l.config import DataConfig
from g2l.datasets.convert.plan import ConversionPlan, plan_conversion, write_conversion
from g2l.datasets.convert.request import ConversionRequest
from g2l.datasets.convert.segments import Segment, SegmentTable
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.errors import DataError
from g2l.datasets.validation import validate_dataset
from g2l.errors import DiskFullError, InputError

TOLERANCE = DataConfig.length_tolerance
LENGTHS = {"S1_A": 20, "S1_B": 24, "S2_A": 30, "S2.b_B": 12, "S3_A": 27}
ROWS = ("S1_A,cut,2,8", "S1_A,stir,8,20", "S1_B,cut,0,24", "S2_A,stir,3,9", "S2.b_B,cut,1,2", "S3_A,stir,0,5")


class Source:
    """Features and a table on disk, and what to ask for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "features").mkdir()
        for name, frames in LENGTHS.items():
            self.features(name, (3, frames))
        self.table(*ROWS)

    def features(self, name: str, shape: tuple[int, int]) -> Path:
        path = self.root / "features" / f"{name}.npy"
        np.save(path, np.random.default_rng(0).standard_normal(shape))
        return path

    def table(self, *rows: str, header: str = "video,label,start,end") -> Path:
        path = self.root / "segments.csv"
        path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
        return path

    def bundles(self, **names: str) -> Path:
        folder = self.root / "bundles"
        folder.mkdir()
        for side, text in names.items():
            (folder / f"{side[:-1]}.split{side[-1]}.bundle").write_text(text.replace(" ", "\n"))
        return folder

    def request(self, **settings: Any) -> ConversionRequest:
        given: Mapping[str, Any] = {
            "features": self.root / "features",
            "segments": self.root / "segments.csv",
            "data_root": self.root / "data",
            "dataset": "mine",
        }
        return ConversionRequest(**{**given, **settings})

    def plan(self, **settings: Any) -> ConversionPlan:
        return plan_conversion(self.request(**settings))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def texts(issues: tuple[DataError, ...], severity: str = "error") -> list[str]:
    return [f"{f.path.name}:{f.line}: {f.reason}" for f in issues if f.severity == severity]


def test_what_is_written_is_read_without_issues(source: Source) -> None:
    plan = source.plan()
    assert texts(plan.issues) == []
    path = write_conversion(plan)
    assert path == source.root / "data" / "mine"
    assert [item.name for item in path.parent.iterdir()] == ["mine"]
    report = validate_dataset(DataConfig(data_root=source.root / "data", dataset="mine"))
    assert report.errors == ()
    assert report.facts == plan.facts
    assert (path / "mapping.txt").read_text() == "0 background\n1 cut\n2 stir\n"
    labels = (path / "groundTruth" / "S1_A.txt").read_text().split()
    assert labels == ["background"] * 2 + ["cut"] * 6 + ["stir"] * 12
    stored = np.load(source.root / "features" / "S2.b_B.npy")
    dataset = SegmentationDataset.open(DataConfig(data_root=source.root / "data", dataset="mine"))
    np.testing.assert_array_equal(dataset.load("S2.b_B").features, stored.astype(np.float32))


def test_no_subject_is_on_both_sides(source: Source) -> None:
    plan = source.plan(group_pattern=r"^S(\d)", test_fraction=0.3)
    train, test = plan.splits[1]
    assert plan.issues == ()
    assert sorted(train + test) == sorted(LENGTHS)
    assert {name[:2] for name in train}.isdisjoint({name[:2] for name in test})
    assert source.plan(group_pattern=r"^S(\d)", test_fraction=0.3).splits == plan.splits


def test_one_split_per_subject(source: Source) -> None:
    assert source.plan(group_pattern=r"^S(\d)", leave_one_out=True).splits == {
        1: (("S2.b_B", "S2_A", "S3_A"), ("S1_A", "S1_B")),
        2: (("S1_A", "S1_B", "S3_A"), ("S2.b_B", "S2_A")),
        3: (("S1_A", "S1_B", "S2.b_B", "S2_A"), ("S3_A",)),
    }
    assert source.plan(group_pattern="", leave_one_out=True).facts.splits == dict.fromkeys(
        range(1, 6), (4, 1)
    )
    (issue,) = source.plan(group_pattern=r"^(S)", leave_one_out=True).errors
    assert "at least 2 subjects" in issue.reason
    with pytest.raises(InputError, match=r"`leave_one_out`.*`bundles`"):
        source.plan(leave_one_out=True, bundles=source.root)


def test_given_bundles_are_kept(source: Source) -> None:
    bundles = source.bundles(
        train2="S1_A.txt S1_B.txt", test2="S2_A.txt", train7="S2_A S2.b_B S3_A", test7="S1_A S1_B"
    )
    plan = source.plan(bundles=bundles)
    assert plan.issues == ()
    path = write_conversion(plan)
    assert plan.facts.splits == {2: (2, 1), 7: (3, 2)}
    assert (path / "splits" / "test.split7.bundle").read_text() == "S1_A.txt\nS1_B.txt\n"


def test_faults_of_given_bundles(source: Source) -> None:
    bundles = source.bundles(train1="S1_A S1_C", test1="S2_A S1_A", train2="S1_B")
    plan = source.plan(bundles=bundles)
    assert texts(plan.issues) == [
        "test.split1.bundle:2: test video 'S1_A' must not be trained on, but is in train.split1.bundle:1.",
        "train.split1.bundle:2: video 'S1_C' has no features with segments.",
        "test.split2.bundle:None: no such file.",
    ]
    assert "did you mean S1_" in (plan.issues[1].hint or "")


def test_all_faults_are_found_at_once_and_nothing_is_written(source: Source) -> None:
    source.features("S3_A", (4, 27))
    source.features("S9_Z", (3, 10))
    (source.root / "features" / "S1_B.npy").write_bytes(b"")
    source.table(*ROWS, "S1_A,pour,5,9", "S2_A,cut,x,5", "S2_A,cut,20,99", "S7_A,cut,0,5", "S7_A,cut,5,6")
    plan = source.plan(group_pattern="")
    overlap = "segments must not overlap, but"
    assert texts(plan.issues) == [
        "S1_B.npy:None: expected a numpy array (.npy), but it is empty.",
        "segments.csv:9: `start` must be a whole number of frames >= 0 or hh:mm:ss, but is 'x' instead.",
        "S3_A.npy:None: expected feature_dim 3 (dt), but its shape is 4 × 27.",
        f"segments.csv:11: video 'S7_A' has no features in {source.root / 'features'}.",
        f"segments.csv:8: {overlap} 'pour' starts at frame 5, before 'cut' of line 2 ends (8).",
        f"segments.csv:3: {overlap} 'stir' starts at frame 8, before 'pour' of line 8 ends (9).",
        "segments.csv:10: 'cut' ends at frame 99, but the video has 30 frames; a segment may end at most 16 "
        "frames later.",
    ]
    left_out = f"S9_Z.npy:None: has no segment in {source.root / 'segments.csv'} and is left out."
    assert texts(plan.issues, "warning") == [left_out]
    with pytest.raises(InputError, match=r"S1_B\.npy: expected a numpy array"):
        write_conversion(plan)
    assert not (source.root / "data").exists()


def test_a_video_whose_only_segments_vanish_is_left_out_everywhere(source: Source) -> None:
    rows = [f"{name},cut,0,1" for name in LENGTHS if name != "S3_A"]
    source.table(*rows, "S3_A,cut,0.5,0.51", header="video,label,start_s,end_s")
    plan = source.plan(fps=10, group_pattern="")
    assert len(texts(plan.issues, "warning")) == 2
    path = write_conversion(plan)
    assert not (path / "features" / "S3_A.npy").exists()
    assert validate_dataset(DataConfig(data_root=path.parent, dataset="mine")).errors == ()


def test_features_that_are_not_finite_leave_nothing_behind(source: Source) -> None:
    np.save(source.root / "features" / "S3_A.npy", np.full((3, 27), np.nan))
    with pytest.raises(InputError, match=r"S3_A\.npy: features must be finite"):
        write_conversion(source.plan())
    assert list((source.root / "data").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space"), OSError("30720 requested and 992 written")])
def test_a_full_disk_leaves_nothing_behind(
    source: Source, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = source.plan()
    monkeypatch.setattr(np, "save", Mock(side_effect=error))
    with pytest.raises(DiskFullError, match=r"data/mine: cannot write \(No space"):
        write_conversion(plan)
    assert list((source.root / "data").iterdir()) == []


def test_what_a_killed_process_has_left_is_removed(source: Source) -> None:
    plan = source.plan()
    for name in (".mine.killed.tmp", ".mine.running.tmp", ".other.killed.tmp"):
        (source.root / "data" / name / "features").mkdir(parents=True)
    with files.hold_folder(source.root / "data/.mine.running.tmp"):
        write_conversion(plan)
    left = sorted(path.name for path in (source.root / "data").iterdir())
    assert left == [".mine.running.tmp", ".other.killed.tmp", "mine"]


def naive_frames(segments: list[Segment], num_frames: int) -> list[str]:
    labels = ["background"] * num_frames
    for segment in segments:
        for frame in range(segment.start, min(segment.end, num_frames)):
            labels[frame] = segment.label
    return labels


@given(
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=12, unique=True),
    used=st.lists(st.booleans(), min_size=11, max_size=11),
    short=st.integers(0, TOLERANCE),
    order=st.randoms(use_true_random=False),
)
def test_timelines_are_what_painting_frame_by_frame_gives(
    cuts: list[int], used: list[bool], short: int, order: Any
) -> None:
    cuts.sort()
    spans = [span for span, use in zip(pairwise(cuts), used, strict=False) if use]
    segments = [Segment(line, f"c{line % 3}", *span) for line, span in enumerate(spans, start=2)]
    num_frames = max(1, cuts[-1] - short)
    order.shuffle(segments)
    table = SegmentTable(Path("s.csv"), segments={"a": segments})
    runs, filled = table.timeline("a", num_frames, "background", TOLERANCE)
    painted = naive_frames(segments, num_frames)
    assert [label for label, frames in runs for _ in range(frames)] == painted
    assert filled == painted.count("background")
    assert all(issue.severity == "warning" for issue in table.issues)
    assert len(table.issues) == sum(segment.end > num_frames for segment in segments)


def test_ends_beyond_the_features(source: Source) -> None:
    source.table(*ROWS, f"S2_A,cut,9,{30 + TOLERANCE}", "S1_A,cut,20,25", f"S3_A,cut,9,{28 + TOLERANCE}")
    plan = source.plan(group_pattern="")
    assert texts(plan.issues, "warning") == [
        "segments.csv:9: 'cut' ends at frame 25, but the video has 20 frames: it is left out.",
        "segments.csv:8: 'cut' ends at frame 46, but the video has 30 frames: it is clipped.",
    ]
    assert [issue.line for issue in plan.errors] == [10]
