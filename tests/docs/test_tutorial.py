"""The ten-minute tutorial, command by command as it is printed, from generated videos to the report."""

from __future__ import annotations

import csv
import json

import pytest

from tests.docs.pages import ROOT, blocks, run_page

PAGE = ROOT / "docs" / "tutorial.md"

pytestmark = pytest.mark.timeout(900)


def test_the_tutorial_leads_from_videos_to_a_report(tmp_path):
    assert len(run_page(PAGE, tmp_path)) == len(blocks(PAGE)) - 1  # all but the one that installs

    report = (tmp_path / "runs" / "tea" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in report
    assert "pour" in report
    assert "hand-designed" in (tmp_path / "report.md").read_text(encoding="utf-8")
    scores = json.loads((tmp_path / "runs" / "tea" / "predictions" / "metrics.json").read_text())
    # Always saying "rest" would have some 45.
    assert scores["accuracy"] > 60
    with (tmp_path / "labels" / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"rest", "pour", "stir", "cut"}
    assert len({row["video"] for row in rows}) == 12
    assert all((tmp_path / "labels" / f"{row['video']}.svg").stat().st_size > 1000 for row in rows)
