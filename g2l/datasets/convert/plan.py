"""Planning a conversion, which finds every issue before anything is written, and writing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from g2l.datasets.convert.labels import read_labels_of
from g2l.datasets.convert.request import ConversionRequest
from g2l.datasets.convert.segments import Clock, LabelSettings, SegmentTable, Unit
from g2l.datasets.convert.sources import FeatureSource, Layout, copy_features, find_layout, find_sources
from g2l.datasets.convert.splits import cut_split, given_splits
from g2l.datasets.convert.timeline import Timeline, make_timeline
from g2l.datasets.errors import DataError, DataWarning, attempt
from g2l.datasets.facts import FACTS_NAME, read_feature_facts, write_dataset_facts
from g2l.datasets.labels import write_labels
from g2l.datasets.layout import ClassMapping, Splits, new_dataset, new_path, parse_mapping, write_index
from g2l.datasets.validation import DatasetFacts
from g2l.errors import InputError, did_you_mean
from g2l.files import write_json
from g2l.progress import NullProgress, Progress


@dataclass(frozen=True, kw_only=True)
class ConversionPlan:
    """What will be written, as far as the issues let it be known.

    Attributes:
        request: What it was made for.
        path: Folder that will be made.
        sources: Features of each video that has segments.
        timelines: Its classes.
        facts: What the data set will hold; its classes are those of the mapping, or the background and the
            others sorted.
        splits: Train and test videos.
        issues: Everything wrong or odd, in the order found.
    """

    request: ConversionRequest
    path: Path
    sources: Mapping[str, FeatureSource]
    timelines: Mapping[str, Timeline]
    splits: Splits
    facts: DatasetFacts
    issues: tuple[DataError, ...]

    @property
    def errors(self) -> tuple[DataError, ...]:
        """Faults that stop the conversion."""
        return tuple(issue for issue in self.issues if issue.severity == "error")

    @property
    def filled(self) -> int:
        """Frames that no segment covers."""
        return sum(timeline.filled for timeline in self.timelines.values())


@dataclass(frozen=True)
class _Inputs:
    """What could be read: `features.json`, the frame rate, features by video, mapping and labels."""

    extraction: Mapping[str, Any] | None
    fps: float | None
    found: Mapping[str, FeatureSource | None]
    mapping: ClassMapping | None
    table: SegmentTable | None


def plan_conversion(request: ConversionRequest) -> ConversionPlan:
    """Check headers and all labels; nothing is written, no feature is read, and no issue hides another.

    Raises:
        InputError: A setting is out of range, or the data set exists already.
    """
    request.validate()
    path = new_path(request.data_root, request.dataset)
    issues: list[DataError] = []
    inputs = _read_inputs(request, issues)
    found, table, mapping = inputs.found, inputs.table, inputs.mapping
    # What g2l extracts is feature_dim × frames, also where no shape tells.
    layout = request.layout or (Layout.DT if inputs.extraction is not None else None)
    sources, feature_dim = _lay_out(replace(request, layout=layout), found, issues)
    splits: Splits = {}
    timelines: dict[str, Timeline] = {}
    if table is not None and found:
        _match_videos(request, found, table, issues)
        timelines = _make_timelines(request, sources, table, issues)
        names = sorted(found.keys() & table.mentions.keys())
        splits = attempt(partial(_split, request, names, issues), issues) or {}
        if request.mapping is not None and mapping is not None:
            _check_classes(request.mapping, mapping, table, timelines, request.background, issues)
    first = (request.background,) if mapping is None else mapping.names
    return ConversionPlan(
        request=request,
        path=path,
        sources={name: sources[name] for name in timelines},
        timelines=timelines,
        splits=splits,
        facts=_facts(timelines, splits, feature_dim, first, inputs),
        issues=tuple(issues),
    )


def write_conversion(plan: ConversionPlan, progress: Progress | None = None) -> Path:
    """Write the data set, all of it or nothing, and return its folder.

    Raises:
        InputError: The plan has an error, a feature is not finite, or the data set exists by now.
        OperationalError: Writing failed.
    """
    for issue in plan.errors:
        raise InputError(str(issue), hint=issue.hint)
    task = (progress or NullProgress()).task("converting", len(plan.sources))
    with new_dataset(plan.request.data_root, plan.request.dataset) as folder, task as bar:
        write_index(folder, tuple(plan.facts.class_counts), plan.splits)
        for name, source in plan.sources.items():
            runs = plan.timelines[name].runs
            copy_features(source, folder.features(name), sum(frames for _, frames in runs))
            write_labels(folder.ground_truth(name), chain.from_iterable(repeat(*run) for run in runs))
            bar.advance()
        if plan.facts.extraction is not None:
            write_json(folder.path / FACTS_NAME, plan.facts.extraction)
        write_dataset_facts(folder.path, _known_facts(plan))
    return plan.path


def _read_inputs(request: ConversionRequest, issues: list[DataError]) -> _Inputs:
    extraction = attempt(partial(read_feature_facts, request.features), issues)
    found = attempt(partial(find_sources, request.features, request.variable, issues), issues) or {}
    mapping = None
    if request.mapping is not None:
        mapping = attempt(partial(parse_mapping, request.mapping, issues), issues)
    fps = _known_fps(request, extraction, issues)
    settings = LabelSettings(
        clock=Clock(fps, request.label_fps, request.offset),
        tier=request.tier,
        seconds=request.fps is not None and request.label_fps is None,
        videos=found.keys(),
        classes=None if mapping is None else mapping.names,
    )
    table = attempt(partial(_read_labels, request, settings, issues), issues)
    return _Inputs(extraction, fps, found, mapping, table)


def _read_labels(
    request: ConversionRequest, settings: LabelSettings, issues: list[DataError]
) -> SegmentTable:
    settings.clock.require(request.segments or request.features, Unit.FRAMES)
    return read_labels_of(request.features, request.segments, settings, issues)


def _known_fps(
    request: ConversionRequest, given: Mapping[str, Any] | None, issues: list[DataError]
) -> float | None:
    """Return the rate of the features; `--fps` and `features.json` must not differ."""
    if given is None:
        return request.fps
    if request.fps is not None and request.fps != given["fps"]:
        message = f"says that the features have {given['fps']} frames per second, but --fps is {request.fps}."
        issues.append(DataError(request.features / FACTS_NAME, None, message))
    return float(given["fps"])


def _make_timelines(
    request: ConversionRequest,
    sources: Mapping[str, FeatureSource],
    table: SegmentTable,
    issues: list[DataError],
) -> dict[str, Timeline]:
    return {
        name: make_timeline(
            table.file(name),
            table.segments[name],
            sources[name].header.num_frames,
            None if name in table.whole else request.background,
            issues,
            request.length_tolerance,
        )
        for name in sorted(sources.keys() & table.segments.keys())
        if table.segments[name]
    }


def _known_facts(plan: ConversionPlan) -> dict[str, Any]:
    """Return what the data set keeps of how it was made."""
    request = plan.request
    given = request.background != "background" and request.background in plan.facts.class_counts
    segments = None if request.segments is None else str(request.segments)
    return {
        "fps": plan.facts.fps,
        "group_pattern": request.group_pattern,
        "background": [request.background] if given else None,
        "source": {"made_by": "g2l data convert", "features": str(request.features), "segments": segments},
    }


def _split(request: ConversionRequest, names: list[str], issues: list[DataError]) -> Splits:
    if request.bundles is not None:
        return given_splits(request.bundles, names, issues)
    return cut_split(
        request.features,
        names,
        test_fraction=request.test_fraction,
        seed=request.seed,
        group_pattern=request.group_pattern,
        issues=issues,
    )


def _lay_out(
    request: ConversionRequest, found: Mapping[str, FeatureSource | None], issues: list[DataError]
) -> tuple[dict[str, FeatureSource], int]:
    """Return the sources that agree on D, with their axes known, and D."""
    usable = {name: source for name, source in found.items() if source is not None}
    if not usable:
        return {}, 0
    headers = [source.header for source in usable.values()]
    look = partial(find_layout, request.features, headers, request.layout, request.feature_dim)
    layout, feature_dim = attempt(look, issues) or (None, 0)
    if layout is None:
        return {}, 0
    sources = {name: source.laid_out(layout) for name, source in usable.items()}
    for name, source in list(sources.items()):
        if source.header.feature_dim != feature_dim:
            rows, columns = source.header.shape
            message = (
                f"expected feature_dim {feature_dim} ({layout.value}), but its shape is {rows} × {columns}."
            )
            issues.append(DataError(source.header.path, None, message))
            del sources[name]
    return sources, feature_dim


def _match_videos(
    request: ConversionRequest,
    found: Mapping[str, FeatureSource | None],
    table: SegmentTable,
    issues: list[DataError],
) -> None:
    """Add an issue for each video with labels and no features, a warning for the reverse."""
    for name, line in table.mentions.items():
        if name not in found:
            message = f"video {name!r} has no features in {request.features}."
            issues.append(DataError(table.file(name), line, message, hint=did_you_mean(name, sorted(found))))
    for name, source in found.items():
        if source is not None and name not in table.mentions:
            message = f"has no segment in {table.path} and is left out."
            issues.append(DataWarning(source.header.path, None, message))


def _check_classes(
    path: Path,
    mapping: ClassMapping,
    table: SegmentTable,
    timelines: Mapping[str, Timeline],
    background: str,
    issues: list[DataError],
) -> None:
    """Add an issue for each class that a given mapping does not hold, at its first segment."""
    seen: set[str] = set()
    for video, segments in table.segments.items():
        for segment in segments:
            if segment.label not in mapping.index and segment.label not in seen:
                seen.add(segment.label)
                message = f"class {segment.label!r} is not in {path}."
                hint = did_you_mean(segment.label, mapping.names)
                issues.append(DataError(table.file(video), segment.line, message, hint=hint))
    if background not in mapping.index and any(timeline.filled for timeline in timelines.values()):
        message = f"class {background!r}, for frames that no segment covers, is not in it."
        issues.append(DataError(path, None, message, hint="--background names the class to take."))


def _facts(
    timelines: Mapping[str, Timeline],
    splits: Splits,
    feature_dim: int,
    first: Sequence[str],
    inputs: _Inputs,
) -> DatasetFacts:
    """Return what the data set will hold.

    Args:
        timelines: Classes of each video.
        splits: Train and test videos.
        feature_dim: D.
        first: All classes of a given mapping, which are kept whether or not there are frames of them, or the
            background alone, which comes first if there are.
        inputs: What `features.json` says, and the frame rate.
    """
    counts: Counter[str] = Counter(dict.fromkeys(first, 0) if len(first) > 1 else {})
    lengths = []
    for timeline in timelines.values():
        lengths.append(sum(frames for _, frames in timeline.runs))
        for label, frames in timeline.runs:
            counts[label] += frames
    rank = {name: index for index, name in enumerate(first)}
    names = sorted(counts, key=lambda name: (rank.get(name, len(rank)), name))
    return DatasetFacts(
        videos=len(timelines),
        frames=sum(lengths),
        feature_dim=feature_dim,
        longest=max(lengths, default=0),
        class_counts={name: counts[name] for name in names},
        splits={split: (len(train), len(test)) for split, (train, test) in splits.items()},
        fps=inputs.fps,
        extraction=inputs.extraction,
    )
