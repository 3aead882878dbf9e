"""The documentation site builds strictly, and nothing inside it leads nowhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.errors_page import Message, messages
from docs.hooks import relink
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """Links, resources and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.anchors: set[str] = set()
        self.pictures: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script") and values.get("src"):
            self.resources.append(values["src"])
        if tag == "link" and values.get("href") and values.get("rel") != "canonical":
            self.resources.append(values["href"])
        if tag == "img":
            self.pictures.append(values)


def pages(site: Path) -> dict[Path, Page]:
    # The page for what is not found has links from the root, since it is served anywhere.
    found = [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]
    return {path: Page(path.read_text(encoding="utf-8")) for path in found}


def test_nothing_inside_the_site_leads_nowhere(site):
    read, dead = pages(site), []
    for path, page in read.items():
        for link in (*page.links, *page.resources):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists() or (
                parts.fragment and target in read and unquote(parts.fragment) not in read[target].anchors
            ):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []
    assert len(read) >= 15


def test_the_page_of_errors_lists_what_the_source_raises(site):
    text = (site / "errors.html").read_text(encoding="utf-8")
    assert "already holds a ‹value› run." in text  # of `RunContext`
    assert "--overwrite to replace it" not in text  # a part of a hint, which depends
    source = 'raise InputError(f"{path}: expected {self._kind!r} here, found {len(found)}.", hint="try b.")'
    assert list(messages(source)) == [
        Message("‹path›: expected ‹kind› here, found ‹found›.", "input", "try b.")
    ]
    assert list(messages("raise OperationalError(brief(error))")) == []


def test_pages_load_nothing_from_elsewhere(site):
    for path, page in pages(site).items():
        assert [link for link in page.resources if urlsplit(link).netloc] == [], path


def test_every_picture_says_what_it_shows(site):
    for path, page in pages(site).items():
        for picture in page.pictures:
            if "twemoji" not in (picture.get("class") or ""):
                assert len((picture.get("alt") or "").strip()) >= 4, (path, picture)


def test_every_command_is_in_the_reference(site):
    text = (site / "options.html").read_text(encoding="utf-8")
    for name in ("search-global", "predict", "data convert", "structure show"):
        assert f"g2l {name}" in text


def test_links_between_files_of_the_repository_become_links_between_pages():
    sources = {"index.md": "README.md", "benchmarks/results.md": "benchmarks/RESULTS.md"}
    known = {"index.md", "training.md", "benchmarks/results.md", "options.md"}

    def site_link(text: str, page: str) -> str:
        return relink(text, page, sources, known=known)

    assert site_link("[a](docs/training.md#b)", "index.md") == "[a](training.md#b)"
    assert site_link("[a](../benchmarks/RESULTS.md)", "training.md") == "[a](benchmarks/results.md)"
    assert site_link("[a](../docs/training.md)", "benchmarks/results.md") == "[a](../training.md)"
    assert site_link("[a](LICENSE)", "index.md") == "a"
    assert site_link("[a](nowhere.md)", "index.md") == "[a](nowhere.md)"
    assert site_link("[a](https://example.org/b.md)", "index.md") == "[a](https://example.org/b.md)"
