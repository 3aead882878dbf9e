"""A report as one file: self-contained HTML, or Markdown for a pull request."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

from g2l.figures.style import save_figure, svg_element
from g2l.files import write_text
from g2l.report.answer import cost, result
from g2l.report.blocks import Block, Picture, Section
from g2l.report.facts import RunFacts, one_run
from g2l.report.origin import data, reproduce
from g2l.report.predictions import classes, predictions
from g2l.report.progress import context, curves, fitness, shapes
from g2l.report.reading import read_runs
from g2l.report.structures import paths, structure

SECTIONS: dict[str, tuple[str, Section]] = {
    "result": ("Result", result),
    "context": ("Context", context),
    "shapes": ("Shapes", shapes),
    "strips": ("Predictions and ground truth", predictions),
    "curves": ("Training length", curves),
    "structure": ("The structure", structure),
    "classes": ("Classes", classes),
    "fitness": ("Fitness over budget", fitness),
    "paths": ("Rates through the local search", paths),
    "cost": ("Cost", cost),
    "data": ("Data", data),
    "reproduce": ("Reproduce", reproduce),
}
"""Title and blocks by id on the page: the answer first, then figures, then where the numbers come from."""

MARK = "made by g2l report"
"""Mark near the start of a report that identifies it."""


class ReportFormat(StrEnum):
    """Format of a report."""

    HTML = "html"
    MD = "md"


@dataclass(frozen=True)
class Report:
    """Sections by their ids, each with title and blocks; those without blocks are left out."""

    title: str
    subtitle: str
    sections: Mapping[str, tuple[str, Sequence[Block]]]


def write_report(
    folders: Mapping[str, Path],
    output: Path,
    form: ReportFormat = ReportFormat.HTML,
    *,
    plots: str | None = None,
) -> Path | None:
    """Write the report of one run, or of several side by side, as one file.

    Args:
        folders: Folder of each run by what was asked for: a path or a run id.
        output: The file.
        form: Its format.
        plots: Also write the figures as svg, pdf or png, into the folder that is returned.
    """
    report = build_report(read_runs(folders))
    write_text(output, html(report) if form is ReportFormat.HTML else markdown(report))
    if plots is None:
        return None
    folder = output.with_name(f"{output.stem}-figures")
    for picture in (block for _, blocks in report.sections.values() for block in blocks):
        if isinstance(picture, Picture):
            save_figure(folder / f"{picture.key}.{plots}", picture.draw())
    return folder


def is_report(path: Path) -> bool:
    """Return whether a file is a report, which another one may replace."""
    with path.open("rb") as file:
        start = file.read(4096)
    earlier = b"<title>G2L: " in start and b"Content-Security-Policy" in start  # a page of 0.1.0
    return MARK.encode() in start or (start.startswith(b"<!DOCTYPE html>") and earlier)


def build_report(runs: Sequence[RunFacts]) -> Report:
    """Return the report of at least one run; the labels of several differ."""
    title = runs[0].subject if one_run(runs) else f"{len(runs)} runs compared"
    sections = {key: (name, blocks) for key, (name, build) in SECTIONS.items() if (blocks := build(runs))}
    return Report(f"G2L: {title}", ", ".join(run.label for run in runs), sections)


def html(report: Report) -> str:
    """Return the page, with styles, script and figures inside it and a policy that forbids anything else."""
    script, style = (
        files("g2l.report").joinpath("templates", name).read_text(encoding="utf-8")
        for name in ("script.js", "style.css")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _render("report.html.j2", report, style=style, script=script, digest=digest, svg=_svg)


def _svg(picture: Picture) -> str:
    return svg_element(picture.draw(), picture.key, picture.caption, picture.alternative)


def markdown(report: Report) -> str:
    """Return the report without its figures; their descriptions and tables stay."""
    return re.sub(r"\n{3,}", "\n\n", _render("report.md.j2", report, md=escaped, fence=_fence))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>#|~!$@])", r"\\\1", line).replace("&", "&amp;")


def _fence(text: str) -> str:
    """Return a code block, fenced by more backticks than the text holds in a row."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}\n{text}\n{ticks}"


def _render(template: str, report: Report, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("g2l.report"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(report=report, mark=MARK, **values)
