"""Words and phrases to avoid, in the documents and in the sources of library and command line."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

PROGRAM = (
    r"(?:g2l|program|command|search|model|file|folder|library|metadata|graph|option|report|table|record|network|"
    r"MLflow|ELAN|torch|onnxruntime|Ray|Python|server|store|it|nobody|neither)"
)
AVOIDED = {
    re.compile(r"\bmend(?:s|ed|ing)?\b", re.IGNORECASE): "fix",
    re.compile(r"\bspoil(?:s|t|ed)?\b", re.IGNORECASE): "corrupt, damage",
    re.compile(r"\b(?:forgiv(?:e|es|en|ing)|hop(?:es|ing))\b", re.IGNORECASE): "tolerate; or leave it out",
    re.compile(r"\b(?:tell|tells|told)\s+of\b", re.IGNORECASE): "report, show",
    re.compile(
        r"(?<!there )(?<!there\s)\b(?:is|are) no (?!longer|more|less|better|worse|need|room)\b", re.IGNORECASE
    ): "is not",
    re.compile(
        rf"\b{PROGRAM} (?:says|wants|thinks|believes|knows|does not know|tells|asks)\b", re.IGNORECASE
    ): "shows, prints, needs, has",
    re.compile(
        r"(?:^[#> ]*|[.!] |\"\"\"|\| |^- )What\b(?![^.\n]*\?)", re.MULTILINE
    ): "start with the noun: 'Invalid feature files are …'",
}
"""A better wording for each pattern."""

DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "data/README.md", "mkdocs.yml")
SOURCES = [
    *(ROOT / name for name in DOCUMENTS),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(path for folder in ("g2l", "cli") for path in (ROOT / folder).rglob("*.py")),
    *sorted((ROOT / "g2l").rglob("*.j2")),
]


def found(text: str) -> list[tuple[int, str, str]]:
    """Return line, phrase and better wording of everything in a text that is to be avoided."""
    return sorted(
        (text.count("\n", 0, match.start()) + 1, match[0].strip(), better)
        for pattern, better in AVOIDED.items()
        for match in pattern.finditer(text)
    )


def test_the_words_are_plain() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}; better: {better}"
        for path in SOURCES
        for line, phrase, better in found(path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "The bug is mended.",
        "Spoilt files",
        "It reports nothing and tells of its absence.",
        "gone is no folder.",
        "the model does not know the frame rate",
        '"""What a report shows."""',
        "Two errors. What is not a number is refused.",
    ],
)
def test_every_rule_finds_its_phrase(text: str) -> None:
    assert len(found(text)) >= 1


def test_plain_sentences_pass() -> None:
    assert found("What is background?\nThere is no GPU. It is no longer read. Whatever it holds.") == []
