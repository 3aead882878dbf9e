"""`g2l data validate`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import DataConfig
from g2l.errors import InputError

from . import console, data_report
from .options import Uses
from .settings import JsonConfig


def validate(data: Annotated[DataConfig, Uses(only=("dataset", "data_root"))], shown: JsonConfig) -> None:
    """List every error of a data set, all splits and all values, then what it holds.

    Example: g2l data validate --dataset gtea
    """
    from g2l.datasets.validation import validate_dataset

    report = validate_dataset(data, console.ConsoleProgress())
    path = data.data_root / data.dataset
    if shown.json:
        console.data_json(data_report.as_json(report))
    else:
        data_report.print_issues(report.issues)
        data_report.print_facts(path, report.facts)
    if report.errors:
        raise InputError(f"{path}: {data_report.count(report.issues)}.")
