"""The page of all errors, made from the source when MkDocs builds the site and calls `on_files`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
KINDS = {"InputError": "input", "OperationalError": "operation"}
ABOUT = {
    "g2l/datasets": "Data sets, conversion, download",
    "g2l/search": "Search",
    "g2l/pipeline": "Stages of a run",
    "g2l/training": "Training",
    "g2l/models": "Networks and model files",
    "g2l/receptive_field": "Networks of your own",
    "g2l/export": "Export",
    "g2l/inference": "Prediction",
    "g2l/metrics": "Evaluation",
    "g2l/report": "Report",
    "g2l/tracking": "MLflow",
    "g2l": "Settings, structures, run folders",
    "cli": "Command line",
}
"""Title of the section of each package; others belong to the one above them."""

INTRODUCTION = """\
# Errors

Each message names the file, line or option, what was expected and what was found. Words in angle brackets
stand for what a message fills in. Errors of *input* end a command with exit code 2, those of an *operation*
with 1. Nothing that was there before is changed. `--debug` shows where in the code an error was raised.
"""


@dataclass(frozen=True, order=True)
class Message:
    """An error that the source raises.

    Attributes:
        text: With ‹words› for what it fills in.
        kind: `input` or `operation`.
        hint: What to do about it; empty where there is none, or where it depends.
    """

    text: str
    kind: str
    hint: str


def messages(source: str) -> Iterator[Message]:
    """Yield the errors that a module raises with a text of its own."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        kind, text = KINDS.get(node.func.id), _text(node.args[0])
        if kind is not None and len(text) > 20 and not text.startswith("‹message›"):
            hints = [_text(one.value) for one in node.keywords if one.arg == "hint"]
            yield Message(text, kind, hints[0] if hints else "")


def _text(node: ast.expr) -> str:
    """Return the text of a string, empty where it is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"‹{_name(node.value)}›"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name(node: ast.expr) -> str:
    """Return a word for a value that a message fills in."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.args[0] if isinstance(node, ast.Call) and node.args else _inside(node)
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").replace("_", " ")
    return node.id.strip("_").replace("_", " ") if isinstance(node, ast.Name) else "…"


def _inside(node: ast.Call | ast.Subscript) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node.value


def on_files(files: Files, config: Any) -> Files:
    """Add the page."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "errors.md", content=errors_page()))
    return files


def errors_page() -> str:
    """Return the page, a section for each package."""
    found: dict[str, set[Message]] = {title: set() for title in ABOUT.values()}
    for root in ("g2l", "cli"):
        for path in (ROOT / root).rglob("*.py"):
            folder = path.relative_to(ROOT).parent.as_posix()
            title = next(ABOUT[one] for one in (folder, root) if one in ABOUT)
            found[title] |= set(messages(path.read_text(encoding="utf-8")))
    sections = [
        f"\n## {title}\n\n| message | error of | hint |\n| --- | --- | --- |\n"
        + "".join(map(_row, sorted(of)))
        for title, of in found.items()
        if of
    ]
    return INTRODUCTION + "".join(sections)


def _row(message: Message) -> str:
    cells = (message.text, message.kind, message.hint)
    text = " | ".join(escape(cell).replace("|", "\\|").replace("\n", " ").replace("`", "") for cell in cells)
    return f"| {text} |\n"
