"""What `evaluation.json` tells of predictions, or `segments.csv` where the truth is not known."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.report.files import EVALUATION, SEGMENTS, optional, reading
from g2l.report.stage_facts import PredictionFacts, VideoFacts


def read_predictions(folder: Path) -> PredictionFacts:
    """Read what was predicted into a folder.

    Raises:
        InputError: A file is damaged.
    """
    value = optional(folder / EVALUATION)
    if not value:
        return _from_segments(folder / SEGMENTS)
    with reading(folder / EVALUATION):
        return PredictionFacts(
            classes=tuple(map(str, value["classes"])),
            background=tuple(map(str, value["background"])),
            videos=tuple(_video(name, one) for name, one in sorted(value["videos"].items())),
            metrics={name: float(score) for name, score in value["metrics"].items() if name != "unsmoothed"},
            per_class=value["per_class"]["classes"],
            confusion=tuple(tuple(map(int, row)) for row in value["confusion"]),
        )


def _video(name: str, value: Mapping[str, Any]) -> VideoFacts:
    strips = [tuple((int(label), int(end)) for label, end in value[row]) for row in ("prediction", "truth")]
    return VideoFacts(name, value["metrics"], strips[0], strips[1])


def _from_segments(path: Path) -> PredictionFacts:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}).") from None
    with reading(path):
        classes = sorted({row["label"] for row in rows})
        videos: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            videos.setdefault(row["video"], []).append((classes.index(row["label"]), int(row["end_frame"])))
    return PredictionFacts(
        classes=tuple(classes),
        background=(),
        videos=tuple(VideoFacts(name, {}, tuple(ends), None) for name, ends in sorted(videos.items())),
    )
