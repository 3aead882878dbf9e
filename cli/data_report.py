"""What `g2l data` says of a data set: its issues and what it holds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    from g2l.datasets.errors import DataError
    from g2l.datasets.validation import DatasetFacts, ValidationReport


def next_command(name: str, data_root: Path, dataset: str) -> str:
    """Return the command line to continue with on a data set."""
    return f"g2l {name} {shlex.join(['--data-root', str(data_root), '--dataset', dataset])}"


def count(issues: Sequence[DataError]) -> str:
    """Return such as `1 error, 2 warnings`."""
    counts = {kind: sum(issue.severity == kind for issue in issues) for kind in ("error", "warning")}
    return ", ".join(console.count(number, kind) for kind, number in counts.items() if number)


def print_issues(issues: Sequence[DataError]) -> None:
    """Print a line for each issue to stderr."""
    for issue in issues:
        if issue.severity == "error":
            console.error(str(issue), issue.hint)
        else:
            console.say(f"warning: {issue}")
            if issue.hint:
                console.say(f"hint: {issue.hint}")


def print_facts(path: Path, facts: DatasetFacts) -> None:
    """Print what a data set holds to stdout."""
    rows = [
        ("videos", f"{facts.videos:,}"),
        ("frames", f"{facts.frames:,}"),
        ("longest video", f"{facts.longest:,} frames"),
        ("classes", f"{len(facts.class_counts):,}"),
        ("feature_dim", f"{facts.feature_dim:,}" if facts.feature_dim else "unknown"),
    ]
    for split, (train, test) in facts.splits.items():
        rows.append((f"split {split}", f"{train:,} train, {test:,} test"))
    if facts.fps is not None:
        rows.append(("features per second", f"{facts.fps:g}"))
    if facts.extraction is not None:
        encoder = facts.extraction.get("encoder")
        if isinstance(encoder, dict):
            rows.append(("encoder", f"{encoder.get('file')}, SHA-256 {str(encoder.get('sha256'))[:12]}…"))
    console.table(str(path), ("", "found"), rows)
    if facts.class_counts:
        total = max(facts.frames, 1)
        shares = [(name, f"{n:,}", f"{100 * n / total:.1f}") for name, n in facts.class_counts.items()]
        console.table("frames by class", ("class", "frames", "%"), shares)


def as_json(report: ValidationReport) -> dict[str, Any]:
    """Return a report as a JSON value."""
    facts = report.facts
    return {
        "videos": facts.videos,
        "frames": facts.frames,
        "feature_dim": facts.feature_dim,
        "longest": facts.longest,
        "classes": len(facts.class_counts),
        "class_frames": dict(facts.class_counts),
        "splits": {str(split): {"train": a, "test": b} for split, (a, b) in facts.splits.items()},
        "fps": facts.fps,
        "extraction": facts.extraction,
        "issues": [
            {
                "path": str(issue.path),
                "line": issue.line,
                "severity": issue.severity,
                "message": issue.reason,
                "hint": issue.hint,
            }
            for issue in report.issues
        ],
    }
