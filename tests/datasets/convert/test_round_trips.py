"""Labels survive being written as a table or for ELAN and converted back."""

from __future__ import annotations

import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import DataConfig
from g2l.datasets.convert.plan import plan_conversion, write_conversion
from g2l.datasets.convert.request import ConversionRequest, Layout
from g2l.datasets.reading import normal
from g2l.datasets.validation import validate_dataset
from g2l.inference.segments import Annotation, SegmentRow, write_eaf, write_segments

ODD = ["cut", 'a "b", c', "<&>", "切る"]

names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8).map(normal)
videos = st.lists(
    st.lists(st.tuples(names | st.sampled_from(ODD), st.integers(1, 400)), max_size=6), min_size=2, max_size=3
)


def rows_of(video: str, runs: list[tuple[str, int]], fps: float) -> list[SegmentRow]:
    """Return segments that cover the video, neighbours of different labels."""
    rows: list[SegmentRow] = []
    start = 0
    for label, group in groupby([("idle", 1), *runs], key=lambda run: run[0]):
        end = start + sum(length for _, length in group)
        rows.append(SegmentRow(video, len(rows), label, start, end, start / fps, end / fps, 1.0, 0.0))
        start = end
    return rows


def convert(root: Path, name: str, segments: Path, fps: float | None) -> Path:
    request = ConversionRequest(
        features=root / "features",
        segments=segments,
        layout=Layout.DT,
        fps=fps,
        group_pattern="",
        data_root=root,
        dataset=name,
    )
    plan = plan_conversion(request)
    assert plan.issues == ()
    folder = write_conversion(plan)
    assert validate_dataset(DataConfig(data_root=root, dataset=name)).errors == ()
    return folder


def rows_again(folder: Path, video: str, fps: float) -> list[SegmentRow]:
    """Return the segments of the ground truth of a data set, read without any code of ours."""
    labels = (folder / "groundTruth" / f"{video}.txt").read_text(encoding="utf-8").split("\n")[:-1]
    rows: list[SegmentRow] = []
    start = 0
    for label, group in groupby(labels):
        end = start + len(list(group))
        rows.append(SegmentRow(video, len(rows), label, start, end, start / fps, end / fps, 1.0, 0.0))
        start = end
    return rows


@settings(max_examples=15, deadline=None)
@given(
    videos=videos,
    fps=st.sampled_from([1.0, 15.0, 29.97, 120.0]),
    kind=st.sampled_from(["frames", "seconds", "eaf"]),
)
def test_labels_survive(videos: list[list[tuple[str, int]]], fps: float, kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        before = {f"v{n}": rows_of(f"v{n}", runs, fps) for n, runs in enumerate(videos)}
        (root / "features").mkdir()
        for video, rows in before.items():
            np.save(root / "features" / f"{video}.npy", np.zeros((3, rows[-1].end_frame), np.float16))
        given_fps = None if kind == "frames" else fps
        folder = convert(root, "first", write(root / "out", before, kind), given_fps)
        after = {video: rows_again(folder, video, fps) for video in before}
        assert after == before
        again = convert(root, "second", write(root / "again", after, kind), given_fps)
        for video in before:
            texts = [(each / "groundTruth" / f"{video}.txt").read_bytes() for each in (folder, again)]
            assert texts[0] == texts[1]


def write(folder: Path, rows: dict[str, list[SegmentRow]], kind: str) -> Path:
    folder.mkdir()
    if kind == "eaf":
        for video, of in rows.items():
            write_eaf(folder / f"{video}.eaf", Annotation(video, of, 1.0))
        return folder
    write_segments(folder / "segments.csv", [row for of in rows.values() for row in of])
    return folder / "segments.csv"
