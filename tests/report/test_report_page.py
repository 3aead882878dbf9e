"""The page and the Markdown: complete, safe, small, and readable without colour, figures or a network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from g2l.report.render import MARK, ReportFormat, write_report
from tests.report.conftest import HOSTILE
from tests.report.generated_run import write_run

VOID = {"meta", "link", "br", "hr", "img", "input"}
SHAPES = {"path", "rect", "circle", "line", "use", "image"}


class Page(HTMLParser):
    """All elements of a page, and text by element; that every element is closed is checked on the way."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def written(folder, form=ReportFormat.HTML) -> str:
    path = folder.parent / f"report.{form}"
    write_report({str(folder): folder}, path, form)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def source(generated):
    return written(generated)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_every_section_is_there_and_linked(page):
    sections = [attributes["id"] for attributes in page.all("section")]
    assert len(sections) == 10
    links = [attributes["href"] for attributes in page.all("a")]
    assert links == ["#result", *(f"#{section}" for section in sections)]
    images = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(images) == len(page.all("figure")) == len(page.all("figcaption")) == 7
    assert all(len(attributes["aria-labelledby"].split()) == 2 for attributes in images)


def test_ids_are_unique_and_references_lead_to_them(page):
    assert [name for name, times in Counter(page.ids).items() if times > 1] == []
    references = [
        reference
        for _, attributes in page.elements
        for name, value in attributes.items()
        if value
        for reference in (
            value.split() if name == "aria-labelledby" else re.findall(r"url\(#([^)]*)\)|^#(\S+)$", value)
        )
    ]
    names = {"".join(reference) for reference in references if reference != ("", "")}
    colours = re.compile(r"[0-9a-fA-F]{3,8}")
    assert {name for name in names if not colours.fullmatch(name)} <= set(page.ids)


def test_nothing_comes_from_elsewhere(source, page):
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"https?:|@import|\bsrc=", source)


def test_it_can_be_read_without_colour_by_keyboard_and_on_paper(source, page):
    assert "@media print" in source
    assert "prefers-color-scheme: dark" in source
    assert page.all("html") == [{"lang": "en"}]
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))
    regions = [attributes for attributes in page.all("div") if attributes.get("role") == "region"]
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in regions)
    assert len(regions) == len(page.all("table")) + len(page.all("figure"))


def test_names_cannot_be_markup(hostile):
    source = written(hostile)
    page = Page(source)
    assert len(page.all("script")) == 1
    assert source.count("<script") == 1
    assert HOSTILE in page.texts["h1"][0]
    assert any(HOSTILE in text for text in page.texts["th"])
    assert any("{{ 7 * 7 }}" in text for text in page.texts["th"])
    assert len(page.all("section")) == 10
    assert {attributes.get("onerror") for _, attributes in page.elements} == {None}


def test_names_cannot_leave_their_cell_in_markdown(hostile):
    text = written(hostile, ReportFormat.MD).replace(f"<!-- {MARK} -->", "")
    sentences = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)[<|]", re.sub(r"^\|.*", "", sentences, flags=re.MULTILINE))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    for group in re.split(r"\n(?!\|)", text):
        lines = [line for line in group.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1
    assert min(widths) >= 3


def test_markdown_has_the_numbers_and_no_figure(generated):
    text = written(generated, ReportFormat.MD)
    assert text.startswith("# G2L: kitchen split 1\n")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 10
    assert "| searched | 4×10 | 1.00 × | 2 | 72.5 ± 0.7 |" in text
    assert "```\ng2l pipeline --dataset kitchen --seeds 2\n```" in text
    assert "<svg" not in text
    assert len(text) < 65_536  # what a comment on GitHub may hold


def test_a_search_of_two_thousand_candidates_stays_small(tmp_path):
    folder = write_run(tmp_path / "run", candidates=2000, population=50, videos=50, frames=6000)
    source = written(folder)
    assert len(source.encode()) < 6 * 2**20
    page = Page(source)
    assert Counter(tag for tag, _ in page.elements if tag in SHAPES)["use"] < 2000
    assert len(page.all("image")) >= 2  # the clouds of candidates are pixels


def test_the_same_run_gives_the_same_page(generated, source):
    assert written(generated) == source


def test_several_runs_share_a_page(generated, hostile, tmp_path):
    path = tmp_path / "report.html"
    write_report({"a/run": generated, "b/run": hostile}, path)
    page = Page(path.read_text(encoding="utf-8"))
    assert [name for name, times in Counter(page.ids).items() if times > 1] == []
    assert page.texts["h1"] == ["G2L: 2 runs compared"]
    assert "pipeline of kitchen split 1" in page.texts["h3"]


def test_figures_are_also_written_as_files(generated, tmp_path):
    folder = write_report({"run": generated}, tmp_path / "both.html", plots="pdf")
    assert folder == tmp_path / "both-figures"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        *("arrow-0.pdf", "budget-f1.pdf", "curves-0.pdf", "field-0.pdf"),
        *("paths-0.pdf", "strips-0.pdf", "structure-0.pdf"),
    ]
    assert (folder / "arrow-0.pdf").read_bytes().startswith(b"%PDF")
