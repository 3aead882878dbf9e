"""`g2l data`: synth, validate, convert, download and extract."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from g2l.config import DataConfig
from g2l.datasets.convert.request import ConversionRequest
from g2l.errors import InputError
from g2l.inference.settings import ExtractionConfig
from g2l.settings import seed_setting

from . import console
from .options import Uses
from .settings import DebugConfig, JsonConfig, first

if TYPE_CHECKING:
    from g2l.datasets.errors import DataError
    from g2l.datasets.validation import DatasetFacts


class SynthConfig(DebugConfig):
    """A synthetic data set."""

    dataset: str = first("", "Name of the new data set: a folder in --data-root.", required=True)
    data_root: Path = first(Path("data"), "Folder of data sets.")
    kind: str = first(
        "kitchen",
        "kitchen: actions that need context; lags: planted dilation rates.",
        choices=("kitchen", "lags"),
    )
    lags: str | None = first(
        None, "Planted lags in frames, such as 41,7.", default_text="41", needs={"kind": ("lags",)}
    )
    videos: int = first(24, "Number of videos.")
    frames: int = first(400, "Mean video length in frames.")
    classes: int | None = first(
        None, "Number of classes (kitchen).", default_text="10", needs={"kind": ("kitchen",)}
    )
    feature_dim: int | None = first(None, "Feature dimension.", default_text="16; lags: 8")
    seed: int = seed_setting()


class ConvertConfig(ConversionRequest, DebugConfig):
    """Conversion of features and labels to a data set."""

    dry_run: bool = first(False, "Print the result; write nothing.")


class ExtractConfig(DebugConfig, ExtractionConfig):
    """Feature extraction from videos."""


class DownloadConfig(DebugConfig):
    """Download of a public data set."""

    data_root: Path = first(Path("data"), "Folder of data sets.")
    yes: bool = first(False, "Accept the terms of use.")


def synth(config: SynthConfig) -> None:
    """Make a synthetic data set with known best receptive fields.

    Example: g2l data synth --dataset lags41 --kind lags --lags 41
    """
    import numpy as np

    from g2l.datasets.layout import new_path
    from g2l.datasets.synthetic import kitchen, lags, write_dataset

    new_path(config.data_root, config.dataset)  # refused before anything is drawn
    sizes = {name: getattr(config, name) for name in ("videos", "frames", "classes", "feature_dim")}
    given = {name: value for name, value in sizes.items() if value is not None}
    generator = np.random.default_rng(config.seed)
    if config.kind == "kitchen":
        content = kitchen(generator, **given)
    else:
        content = lags(generator, _integers("--lags", config.lags or "41"), **given)
    kind = {"kind": config.kind, "lags": config.lags, "seed": config.seed}
    source = {"made_by": "g2l data synth", **kind, **sizes}
    path = write_dataset(config.data_root, config.dataset, content, source)
    console.say(f"{path}: {console.count(config.videos, 'video')}, splits 1 and 2.")
    console.say(f"try: {_next('pipeline', config.data_root, config.dataset)} --split 1")


def validate(data: Annotated[DataConfig, Uses(only=("dataset", "data_root"))], shown: JsonConfig) -> None:
    """List all errors of a data set, in all splits and values, and print a summary.

    Example: g2l data validate --dataset gtea
    """
    from g2l.datasets.validation import validate_dataset

    report = validate_dataset(data, console.ConsoleProgress())
    path = data.data_root / data.dataset
    if shown.json:
        console.data_json(_as_json(report.issues, report.facts))
    else:
        _print_issues(report.issues)
        _print_facts(path, report.facts)
    if report.errors:
        raise InputError(f"{path}: {_count(report.issues)}.")
    console.say(f"{path}: no errors{f', {warned}' if (warned := _count(report.issues)) else ''}.")


def convert(config: ConvertConfig) -> None:
    """Make a data set from your own features and labels.

    Example: g2l data convert --features i3d --segments segments.csv --dataset mine
    """
    from g2l.datasets.convert.plan import plan_conversion, write_conversion

    plan = plan_conversion(config)
    _print_issues(plan.issues, shown=3)
    if plan.errors:
        raise InputError(f"{plan.path}: not made; {_count(plan.issues)}.")
    _print_facts(plan.path, plan.facts)
    console.say(f"frames that no segment covers, taken as {config.background!r}: {plan.filled:,}.")
    if config.dry_run:
        console.say(f"{plan.path}: would be made as above; nothing was written.")
        return
    write_conversion(plan, console.ConsoleProgress())
    console.say(f"{plan.path}: made.")
    console.say(f"try: {_next('data validate', config.data_root, config.dataset)}")


def download(
    dataset: Annotated[str, typer.Argument(help="gtea, 50salads or breakfast.")],
    config: DownloadConfig,
) -> None:
    """Download a public data set, or continue an interrupted download.

    Example: g2l data download gtea
    """
    from g2l.datasets.download import archive_path, download_dataset, find_source, read_record
    from g2l.datasets.layout import new_path

    source = find_source(dataset)
    new_path(config.data_root, dataset)
    archive = read_record(source)
    console.say(f"{source.dataset}: features and labels as published with MS-TCN, {source.page}")
    console.say(f"terms of the data set: {source.terms}")
    console.say(f"terms of the archive: {archive.licence or 'the record names no licence.'}")
    console.say(f"cite: {source.cite}; features: Abu Farha and Gall, CVPR 2019")
    console.say(
        f"one archive holds gtea, 50salads and breakfast: {archive.size / 1e9:.2f} GB to download, checked "
        f"against md5:{archive.md5} as the record gives it."
    )
    if not (config.yes or _agreed()):
        raise InputError(
            "the terms were not accepted; nothing was downloaded.",
            hint="--yes accepts them without a question.",
        )
    path = download_dataset(source, archive, config.data_root, console.ConsoleProgress())
    console.say(f"{path}: made. The archive with the other data sets is kept:")
    console.say(f"{archive_path(source, archive, config.data_root)}")
    console.say(f"try: {_next('data validate', config.data_root, dataset)}")


def extract(config: ExtractConfig) -> None:
    """Extract features from videos with your own encoder; videos that are done are skipped.

    Example: g2l data extract --videos videos --encoder resnet.onnx --fps 15 --output features
    """
    from g2l.datasets.facts import FACTS_NAME
    from g2l.inference.extraction import extract_features
    from g2l.pipeline.output import refuse_foreign_folder

    refuse_foreign_folder(config.output, (FACTS_NAME,))
    result = extract_features(config, console.ConsoleProgress())
    console.say(f"encoder: {result.device_report}.")
    facts = {
        "extracted": f"{len(result.written):,}",
        "there already": f"{len(result.kept):,}",
        "frames": f"{result.frames:,} at {config.fps:g} per second",
        "feature_dim": f"{result.feature_dim:,}" if result.feature_dim else "unknown",
    }
    console.table(str(config.output), [{"": name, "videos": value} for name, value in facts.items()])
    _print_issues(result.issues, shown=3)
    if result.issues:
        raise InputError(f"{config.output}: {_count(result.issues)}; the other videos are done.")
    arguments = ["--features", str(config.output), "--segments", "segments.csv", "--dataset", "mine"]
    console.say(f"try: g2l data convert {shlex.join(arguments)}")


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"`{option}` must be numbers separated by commas, such as 41,7, but is {text!r} instead."
        ) from None


def _agreed() -> bool:
    try:
        return typer.confirm("Download under these terms?", err=True)
    except typer.Abort:  # stdin is not a terminal
        return False


def _next(name: str, data_root: Path, dataset: str) -> str:
    """Return the command line to continue with on a data set."""
    return f"g2l {name} {shlex.join(['--data-root', str(data_root), '--dataset', dataset])}"


def _count(issues: Sequence[DataError]) -> str:
    """Return such as `1 error, 2 warnings`."""
    counts = {kind: sum(issue.severity == kind for issue in issues) for kind in ("error", "warning")}
    return ", ".join(console.count(number, kind) for kind, number in counts.items() if number)


def _print_issues(issues: Sequence[DataError], shown: int | None = None) -> None:
    """Print the first `shown` issues of each kind, or all in their order."""
    from g2l.datasets.errors import condense

    for issue, others in [(issue, 0) for issue in issues] if shown is None else condense(issues, shown):
        if issue.severity == "error":
            console.error(str(issue), issue.hint)
        else:
            console.say(f"warning: {issue}" + (f"\nhint: {issue.hint}" if issue.hint else ""))
        if others:
            console.say(f"({others:,} more like it)")


def _print_facts(path: Path, facts: DatasetFacts) -> None:
    """Print what a data set holds to stdout."""
    shown = {
        "videos": f"{facts.videos:,}",
        "frames": f"{facts.frames:,}",
        "longest video": f"{facts.longest:,} frames",
        "classes": f"{len(facts.class_counts):,}",
        "feature_dim": f"{facts.feature_dim:,}" if facts.feature_dim else "unknown",
    }
    for split, (train, test) in facts.splits.items():
        shown[f"split {split}"] = f"{train:,} train, {test:,} test"
    if facts.fps is not None:
        shown["features per second"] = f"{facts.fps:g}"
    encoder = (facts.extraction or {}).get("encoder")
    if isinstance(encoder, dict):
        shown["encoder"] = f"{encoder.get('file')}, SHA-256 {str(encoder.get('sha256'))[:12]}…"
    console.table(str(path), [{"": name, "found": value} for name, value in shown.items()])
    if facts.class_counts:
        total = max(facts.frames, 1)
        shares = [
            {"class": name, "frames": f"{count:,}", "%": f"{100 * count / total:.1f}"}
            for name, count in facts.class_counts.items()
        ]
        console.table("frames by class", shares)


def _as_json(issues: Sequence[DataError], facts: DatasetFacts) -> dict[str, Any]:
    values = asdict(facts)
    frames = values.pop("class_counts")
    splits = {str(split): {"train": train, "test": test} for split, (train, test) in facts.splits.items()}
    found = [
        {"path": str(one.path), "message": one.reason}
        | {name: getattr(one, name) for name in ("line", "severity", "hint")}
        for one in issues
    ]
    return values | {"classes": len(frames), "class_frames": frames, "splits": splits, "issues": found}
