"""Features of two videos on disk, and labels of any kind, to be spoilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.convert.plan import ConversionPlan, plan_conversion, write_conversion
from g2l.datasets.convert.request import ConversionRequest

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
