"""Where the numbers come from: the data, the configuration, the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from g2l.progress import duration
from g2l.records import DatasetRecord
from g2l.report.blocks import Block, Code, Paragraph, Section, Table, Warnings, of_each
from g2l.report.facts import RunFacts
from g2l.report.words import count

PARTITIONS = ("train", "holdout", "test")


def data(runs: Sequence[RunFacts]) -> Section:
    """Return the section: facts of each data set, and its warnings."""

    def build(_: int, run: RunFacts) -> list[Block]:
        if run.data is None:
            return []
        notices = tuple(run.data.notices)
        checked = Warnings(notices) if notices else Paragraph("The files were checked without warnings.")
        return [checked, _facts(run.data), _partitions(run.data), _classes(run.data)]

    return Section("data", "Data", of_each(runs, build))


def _facts(facts: DatasetRecord) -> Table:
    rows = {
        "data set": facts.name,
        "split": facts.split,
        "fingerprint": facts.fingerprint,
        "numbers per frame (D)": count(facts.feature_dim),
        "classes": len(facts.class_frames),
        "background": ", ".join(map(str, facts.background)) or "none",
        "frame rate": "not given" if facts.fps is None else f"{facts.fps:g} per second",
        "every r-th frame is used, r": facts.sample_rate,
    }
    return Table(
        caption="Facts",
        columns=("what", "value"),
        rows=tuple((name, str(value)) for name, value in rows.items()),
        words=2,
    )


def _partitions(facts: DatasetRecord) -> Table:
    rows = []
    for name in PARTITIONS:
        lengths = list(facts.frames.get(name, {}).values())
        if lengths:
            total = count(sum(lengths))
            if facts.fps:
                total += f" ({duration(sum(lengths) / facts.fps)})"
            rows.append((name, count(len(lengths)), total, count(min(lengths)), count(max(lengths))))
    return Table(
        caption="Partitions, in frames of the feature files",
        columns=("partition", "videos", "frames", "shortest", "longest"),
        rows=tuple(rows),
    )


def _classes(facts: DatasetRecord) -> Table:
    present = [name for name in PARTITIONS if facts.frames.get(name)]
    return Table(
        caption="Frames of each class",
        columns=("class", *present),
        rows=tuple(
            (name, *(count(found.get(partition, 0)) for partition in present))
            for name, found in facts.class_frames.items()
        ),
        folded=True,
    )


def reproduce(runs: Sequence[RunFacts]) -> Section:
    """Return the section: command, versions and the resolved configuration."""

    def build(_: int, run: RunFacts) -> list[Block]:
        known = Code("The command", command_line(run.command)) if run.command else None
        command = known or Paragraph("The command was not recorded.")
        return [command, _versions(run), _configuration(run)]

    return Section("reproduce", "Reproduce", of_each(runs, build))


def command_line(arguments: Sequence[str]) -> str:
    """Return a command as it is typed, with `g2l` instead of the file that was run."""
    first, *others = map(str, arguments)
    ours = PurePath(first).name in ("g2l", "__main__.py") or PurePath(first).parent.name in ("cli", "g2l_cli")
    return f"{'g2l' if ours else shlex.quote(first)} {shlex.join(others)}".strip()


def _versions(run: RunFacts) -> Table:
    return Table(
        caption="Versions",
        columns=("what", "value"),
        rows=(("run", run.source), ("kind", run.kind), *run.versions.items()),
        words=2,
    )


def _configuration(run: RunFacts) -> Table:
    return Table(
        caption="Resolved configuration",
        columns=("setting", "value"),
        rows=tuple(_flat(run.settings)),
        words=2,
        folded=True,
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
