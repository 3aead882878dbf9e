"""Where the numbers come from: the data, the configuration, the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from g2l.progress import duration
from g2l.records import DatasetRecord
from g2l.report.blocks import Block, Table, Text, Warnings, of_each
from g2l.report.facts import RunFacts
from g2l.report.words import count

PARTITIONS = ("train", "holdout", "test")


@of_each
def data(_: int, run: RunFacts) -> list[Block]:
    """Return facts of the data set, and its warnings."""
    facts = run.data
    if facts is None:
        return []
    values = {
        "data set": facts.name,
        "split": facts.split,
        "fingerprint": facts.fingerprint,
        "numbers per frame (D)": count(facts.feature_dim),
        "classes": len(facts.class_frames),
        "background": ", ".join(facts.background) or "none",
        "frame rate": "not given" if facts.fps is None else f"{facts.fps:g} per second",
        "every r-th frame is used, r": facts.sample_rate,
    }
    present = [name for name in PARTITIONS if facts.frames.get(name)]
    return [
        Warnings(facts.notices) if facts.notices else Text("The files were checked without warnings."),
        _pairs("Facts", values.items()),
        Table(
            caption="Partitions, in frames of the feature files",
            columns=("partition", "videos", "frames", "shortest", "longest"),
            rows=[_partition(name, facts) for name in present],
        ),
        Table(
            caption="Frames of each class",
            columns=("class", *present),
            rows=[
                (name, *(count(found.get(partition, 0)) for partition in present))
                for name, found in facts.class_frames.items()
            ],
            folded=True,
        ),
    ]


def _partition(name: str, facts: DatasetRecord) -> tuple[str, ...]:
    lengths = facts.frames[name].values()
    seconds = f" ({duration(sum(lengths) / facts.fps)})" if facts.fps else ""
    total = f"{count(sum(lengths))}{seconds}"
    return name, count(len(lengths)), total, count(min(lengths)), count(max(lengths))


def _pairs(caption: str, values: Iterable[tuple[str, Any]], *, folded: bool = False) -> Table:
    rows = [(name, str(value)) for name, value in values]
    return Table(caption=caption, columns=("name", "value"), rows=rows, words=2, folded=folded)


@of_each
def reproduce(_: int, run: RunFacts) -> list[Block]:
    """Return command, versions and the resolved configuration."""
    return [
        Text(command_line(run.command), "code") if run.command else Text("The command was not recorded."),
        _pairs("Versions", [("run", run.source), ("kind", run.kind), *run.versions.items()]),
        _pairs("Resolved configuration", _flat(run.settings), folded=True),
    ]


def command_line(arguments: Sequence[str]) -> str:
    """Return a command as it is typed, with `g2l` instead of the file that was run."""
    first, *others = arguments
    ours = PurePath(first).name in ("g2l", "__main__.py") or PurePath(first).parent.name in ("cli", "g2l_cli")
    return f"{'g2l' if ours else shlex.quote(first)} {shlex.join(others)}".strip()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
