"""Writing a report; what `g2l report` and the pipeline call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from g2l.files import write_text
from g2l.report.read import read_runs
from g2l.report.render import RENDERERS, ReportFormat
from g2l.report.sections import build_report


def write_report(folders: Mapping[str, Path], output: Path, form: ReportFormat = ReportFormat.HTML) -> None:
    """Write what is told of one run, or of several side by side, as one file.

    Args:
        folders: Folder of each run by what was asked for: a path or a run id.
        output: The file.
        form: What it is written as.

    Raises:
        InputError: A folder is none of a run, or a file in it is damaged.
        OperationalError: The disk refuses.
    """
    write_text(output, RENDERERS[form](build_report(read_runs(folders))))
