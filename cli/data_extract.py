"""`g2l data extract`."""

from __future__ import annotations

import shlex

from g2l.errors import InputError

from . import console, data_report
from .settings import ExtractConfig


def extract(config: ExtractConfig) -> None:
    """Make features of videos with an encoder of your own; what is done already is kept.

    Example: g2l data extract --videos videos --encoder resnet.onnx --fps 15 --output features
    """
    from g2l.datasets.facts import FACTS_NAME
    from g2l.inference.extraction import extract_features
    from g2l.pipeline.output import refuse_foreign_folder

    refuse_foreign_folder(config.output, (FACTS_NAME,))

    result = extract_features(config, console.ConsoleProgress())
    console.say(f"encoder: {result.device_report}.")
    rows = [
        ("extracted", f"{len(result.written):,}"),
        ("there already", f"{len(result.kept):,}"),
        ("frames", f"{result.frames:,} at {config.fps:g} per second"),
        ("feature_dim", f"{result.feature_dim:,}" if result.feature_dim else "unknown"),
    ]
    console.table(str(config.output), ("", "videos"), rows)
    data_report.print_issues(result.issues)
    if result.issues:
        raise InputError(f"{config.output}: {data_report.count(result.issues)}; the other videos are done.")
    arguments = ["--features", str(config.output), "--segments", "segments.csv", "--dataset", "mine"]
    console.say(f"try: g2l data convert {shlex.join(arguments)}")
