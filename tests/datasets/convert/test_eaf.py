"""Labels of ELAN files, and every way in which they can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from label_files import FRAMES, REFERRING, SECOND, Source, eaf, written
from pympi.Elan import Eaf

from g2l.datasets.convert.plan import write_conversion
from g2l.errors import InputError


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


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
            eaf(end='TIME_VALUE="1000"'),
            9,
            "'cut' must end after it starts, but starts at 1000 and ends at",
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
