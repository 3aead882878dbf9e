"""Where the numbers come from: the data, the configuration, the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from g2l.report.blocks import Block, Code, Heading, Paragraph, Section, Table, Warnings
from g2l.report.model import RunFacts
from g2l.report.words import count, duration

PARTITIONS = ("train", "holdout", "test")


def data(runs: Sequence[RunFacts]) -> Section:
    """Return the section: facts of each data set, and what was odd about it."""
    blocks: list[Block] = []
    for run in runs:
        if not run.data:
            continue
        if len(runs) > 1:
            blocks.append(Heading(run.label))
        if run.data["notices"]:
            blocks.append(Warnings(tuple(run.data["notices"])))
        else:
            blocks.append(Paragraph("Nothing was odd about the files when they were checked."))
        blocks += [_facts(run.data), _partitions(run.data), _classes(run.data)]
    nothing = Paragraph("The data of this run is not known: nothing was read from a data set.")
    return Section("data", "The data", tuple(blocks) or (nothing,))


def _facts(facts: Mapping[str, Any]) -> Table:
    fps = facts["fps"]
    rows = {
        "data set": facts["name"],
        "split": facts["split"],
        "fingerprint": facts["fingerprint"],
        "numbers per frame (D)": count(facts["feature_dim"]),
        "classes": len(facts["class_frames"]),
        "background": ", ".join(facts["background"]) or "none",
        "frame rate": "not given" if fps is None else f"{fps:g} per second",
        "every r-th frame is used, r": facts["sample_rate"],
    }
    return Table(
        caption="Facts",
        columns=("what", "value"),
        rows=tuple((name, str(value)) for name, value in rows.items()),
        words=2,
    )


def _partitions(facts: Mapping[str, Any]) -> Table:
    rows = []
    for name in PARTITIONS:
        lengths = list(facts["frames"][name].values())
        if lengths:
            total = count(sum(lengths))
            if facts["fps"]:
                total += f" ({duration(sum(lengths) / facts['fps'])})"
            rows.append((name, count(len(lengths)), total, count(min(lengths)), count(max(lengths))))
    return Table(
        caption="Partitions, in frames of the feature files",
        columns=("partition", "videos", "frames", "shortest", "longest"),
        rows=tuple(rows),
    )


def _classes(facts: Mapping[str, Any]) -> Table:
    present = [name for name in PARTITIONS if facts["frames"][name]]
    return Table(
        caption="Frames of each class",
        columns=("class", *present),
        rows=tuple(
            (name, *(count(found[partition]) for partition in present))
            for name, found in facts["class_frames"].items()
        ),
        folded=True,
    )


def reproduce(runs: Sequence[RunFacts]) -> Section:
    """Return the section: command, versions and the whole configuration."""
    blocks: list[Block] = []
    for run in runs:
        if len(runs) > 1:
            blocks.append(Heading(run.label))
        command = run.environment.get("command")
        if command:
            blocks.append(Code("The command", command_line(command)))
        else:
            blocks.append(Paragraph("The command was not recorded: an older version made this run."))
        blocks += [_versions(run), _configuration(run)]
    return Section("reproduce", "How to reproduce it", tuple(blocks))


def command_line(arguments: Sequence[str]) -> str:
    """Return a command as it is typed: `g2l` instead of the file that was run."""
    first, *others = map(str, arguments)
    ours = PurePath(first).name in ("g2l", "__main__.py") or PurePath(first).parent.name in ("cli", "g2l_cli")
    return f"{'g2l' if ours else shlex.quote(first)} {shlex.join(others)}".strip()


def _versions(run: RunFacts) -> Table:
    rows = {"run": run.source, "kind": run.kind}
    rows |= {name: str(found) for name, found in run.environment.get("versions", {}).items()}
    commit = run.environment.get("commit")
    return Table(
        caption="Versions",
        columns=("what", "value"),
        rows=tuple((rows | ({"commit": str(commit)} if commit else {})).items()),
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
