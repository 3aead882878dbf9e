"""Labels of ELAN files, lists of frames and MATLAB files, mappings, and how they can be broken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pympi.Elan import Eaf
from scipy.io import savemat

from g2l.datasets.convert.plan import ConversionPlan, plan_conversion, write_conversion
from g2l.datasets.convert.request import ConversionRequest
from g2l.datasets.facts import read_dataset_facts
from g2l.errors import InputError
from g2l.files import write_json

FRAMES = {"P1_a": 30, "P2_a": 40}
LABELS = {name: ["idle"] * 10 + ["cut"] * (frames - 10) for name, frames in FRAMES.items()}
EAF = """<?xml version="1.0" encoding="{encoding}"?>{doctype}
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
 <HEADER MEDIA_FILE="" TIME_UNITS="{units}">{media}</HEADER>
 <TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
  <TIME_SLOT TIME_SLOT_ID="ts2" {end}/>
 </TIME_ORDER>
 <TIER LINGUISTIC_TYPE_REF="a" TIER_ID="{tier}">
  <ANNOTATION>{annotation}</ANNOTATION>
 </TIER>{more}
</ANNOTATION_DOCUMENT>
"""
TIMED = (
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">'
    "<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>"
)
REFERRING = '<REF_ANNOTATION ANNOTATION_ID="a1" ANNOTATION_REF="a0"><ANNOTATION_VALUE>cut</ANNOTATION_VALUE></REF_ANNOTATION>'  # noqa: E501
SECOND = '<TIER LINGUISTIC_TYPE_REF="a" TIER_ID="right hand"><ANNOTATION>' + TIMED.format(value="stir")
SECOND += "</ANNOTATION></TIER>"


def eaf(value: str = "cut", **parts: str) -> str:
    given = {"encoding": "UTF-8", "doctype": "", "units": "milliseconds", "media": "", "tier": "left hand"}
    given |= {"end": 'TIME_VALUE="2000"', "annotation": TIMED.format(value=value), "more": ""}
    return EAF.format(**{**given, **parts})


class Source:
    """Features of two videos, and labels of any kind."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("features", "labels"):
            (root / folder).mkdir()
        for name, frames in FRAMES.items():
            np.save(root / "features" / f"{name}.npy", np.ones((3, frames)) * np.arange(frames))

    def label(self, name: str, text: str | bytes) -> Path:
        path = self.root / "labels" / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def lists(self) -> None:
        for name, labels in LABELS.items():
            self.label(f"{name}.txt", "\n".join(labels) + "\n")

    def plan(self, **settings: Any) -> ConversionPlan:
        given = {"segments": self.root / "labels", "data_root": self.root / "data", "dataset": "mine"}
        request = {"features": self.root / "features", "group_pattern": "", **given, **settings}
        return plan_conversion(ConversionRequest(**request))

    def errors(self, **settings: Any) -> list[str]:
        return [f"{f.path.name}:{f.line}: {f.reason}" for f in self.plan(**settings).errors]


def written(plan: ConversionPlan) -> dict[str, list[str]]:
    folder = write_conversion(plan)
    return {path.stem: path.read_text().splitlines() for path in (folder / "groundTruth").iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


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
    source.label("P2_a.txt", "cut 0 10\nidle 10 40\n")
    assert "labels can be a table of segments" in (source.plan().issues[-1].hint or "")
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
    (source.root / "labels" / "P2_a.txt").unlink()
    os.mkfifo(source.root / "pipe.txt")
    assert (
        "pipe.txt:None: cannot be read (expected a file"
        in source.errors(segments=source.root / "pipe.txt", tier="a")[0]
    )
    source.lists()
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


def test_elan_files_by_another_library(source: Source) -> None:
    for name in FRAMES:
        document = Eaf()
        document.add_tier("hands")
        document.add_annotation("hands", 200, 1000, "cut")
        document.add_annotation("hands", 1000, 2040, "stir & 切る")
        document.to_file(source.root / "labels" / f"{name}.eaf")
    labels = written(source.plan(fps=10.0))
    assert labels["P1_a"] == ["background"] * 2 + ["cut"] * 8 + ["stir & 切る"] * 10 + ["background"] * 10


def test_two_tiers_are_named_and_one_is_chosen(source: Source) -> None:
    for name in FRAMES:
        source.label(f"{name}.eaf", eaf(more=SECOND))
    issue = source.plan(fps=10).errors[0]
    assert issue.reason == (
        "expected one tier, but found 'left hand' with 1 annotations, 'right hand' with 1 annotations."
    )
    assert issue.hint == "--tier chooses one, such as --tier 'left hand'."
    assert written(source.plan(fps=10, tier="right hand"))["P1_a"].count("stir") == 10
    misspelt = source.plan(fps=10, tier="right band", dataset="other").errors[0]
    assert misspelt.reason.startswith("expected a tier 'right band', but its tiers are 'left hand'")
    assert misspelt.hint == "did you mean right hand?"


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (eaf(doctype=BOMB, value="&b;"), 1, "has a document type (DOCTYPE)"),
        (eaf(doctype=OUTSIDE, value="&a;"), 1, "has a document type (DOCTYPE)"),
        (eaf(value="&b;"), 9, "is not an EAF document (undefined entity)"),
        (eaf(encoding="klingon"), 1, "is not an EAF document (unknown encoding: klingon)"),
        (eaf()[:300], 6, "is not an EAF document ("),
        ("<html/>", 1, "expected an EAF document (`ANNOTATION_DOCUMENT`), but found `html`."),
        (eaf(units="PAL-frames"), None, "expected times in milliseconds, but `TIME_UNITS` is 'PAL-frames'."),
        (eaf(end=""), 9, "'cut' must start and end at a time"),
        (eaf(end=f'TIME_VALUE="{"9" * 5000}"'), 9, "'cut' must start and end at a time"),
        (
            eaf(end='TIME_VALUE="500"'),
            9,
            "'cut' must end after it starts, but starts at 1000 and ends at 500",
        ),
        (eaf(value="a\nb"), 9, "holds a line break"),
        (eaf(annotation=REFERRING), 9, "'cut' refers to another tier"),
        (eaf(annotation=""), None, "expected annotations, but its tiers are 'left hand' with 0 annotations."),
        (eaf(annotation="<ALIGNABLE_ANNOTATION/>"), 9, "expected an attribute `TIME_SLOT_REF1`"),
    ],
)
def test_broken_elan_files_are_named_with_their_line(
    source: Source, text: str | bytes, line: int | None, message: str
) -> None:
    source.label("P1_a.eaf", text)
    source.label("P2_a.eaf", eaf())
    plan = source.plan(fps=10)
    issue = plan.errors[0]
    assert (issue.path.name, issue.line) == ("P1_a.eaf", line)
    assert message in issue.reason
    with pytest.raises(InputError):
        write_conversion(plan)
    assert not (source.root / "data").exists()


def test_times_count_from_the_origin_of_the_medium(source: Source) -> None:
    for name in FRAMES:
        source.label(f"{name}.eaf", eaf(media='<MEDIA_DESCRIPTOR MEDIA_URL="a" TIME_ORIGIN="1000"/>'))
    plan = source.plan(fps=10)
    assert plan.issues == ()
    assert written(plan)["P2_a"] == ["background"] * 20 + ["cut"] * 10 + ["background"] * 10


def test_origins_that_differ_or_are_no_time(source: Source) -> None:
    two = '<MEDIA_DESCRIPTOR MEDIA_URL="a" TIME_ORIGIN="{}"/><MEDIA_DESCRIPTOR MEDIA_URL="b"/>'
    source.label("P1_a.eaf", eaf(media=two.format("500")))
    source.label("P2_a.eaf", eaf(media=two.format("x")))
    plan = source.plan(fps=10)
    assert "its media start at 500, 0 ms" in plan.issues[0].message
    assert "`TIME_ORIGIN` must be milliseconds, but is 'x'" in plan.errors[0].message
