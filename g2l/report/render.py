"""A report as one file: HTML that needs nothing beside it, or Markdown for a pull request."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from enum import StrEnum
from importlib.resources import files
from typing import Any

from g2l.report.blocks import Report


class ReportFormat(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"


def html(report: Report) -> str:
    """Return the page: styles, script and figures inside it, and a policy that lets nothing else in."""
    script = _source("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _render("report.html.j2", report, style=_source("style.css"), script=script, digest=digest)


def markdown(report: Report) -> str:
    """Return the report without its figures, whose words and numbers stay."""
    return re.sub(r"\n{3,}", "\n\n", _render("report.md.j2", report, md=escaped, fence=_fence))


RENDERERS: dict[ReportFormat, Callable[[Report], str]] = {ReportFormat.HTML: html, ReportFormat.MD: markdown}


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
    return environment.get_template(template).render(report=report, **values)


def _source(name: str) -> str:
    return files("g2l.report").joinpath("templates", name).read_text(encoding="utf-8")
