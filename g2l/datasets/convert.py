"""From features and a table of segments to a data set in the MS-TCN layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import TypeVar

from g2l.datasets.conversion_request import ConversionRequest
from g2l.datasets.faults import DataError, Fault, Severity
from g2l.datasets.feature_sources import FeatureSource, copy_features, find_layout, find_sources
from g2l.datasets.labels import write_labels
from g2l.datasets.new_dataset import Splits, new_dataset, new_path, write_index
from g2l.datasets.segment_table import SegmentTable, read_segments
from g2l.datasets.splitting import cut_split, given_splits
from g2l.datasets.timeline import Timeline, make_timeline
from g2l.datasets.validation import DatasetFacts
from g2l.errors import InputError, did_you_mean
from g2l.progress import NullProgress, Progress

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class ConversionPlan:
    """What will be written, as far as the faults let it be known.

    Attributes:
        request: What it was made for.
        path: Folder that will be made.
        sources: Features of each video that has segments.
        timelines: Its classes.
        facts: What the data set will hold; the background is its first class, the others are sorted.
        splits: Train and test videos.
        faults: Everything wrong or odd, in the order found.
    """

    request: ConversionRequest
    path: Path
    sources: Mapping[str, FeatureSource]
    timelines: Mapping[str, Timeline]
    splits: Splits
    facts: DatasetFacts
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Faults that stop the conversion."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def filled(self) -> int:
        """Frames that no segment covers."""
        return sum(timeline.filled for timeline in self.timelines.values())


def plan_conversion(request: ConversionRequest) -> ConversionPlan:
    """Check headers and all rows; nothing is written, no feature is read, and no fault hides another.

    Raises:
        InputError: A setting is out of range, or the data set exists already.
    """
    request.validate()
    path = new_path(request.data_root, request.dataset)
    faults: list[Fault] = []
    found = _attempt(partial(find_sources, request.features, faults), faults) or {}
    table = _attempt(partial(read_segments, request.segments, request.fps, faults), faults)
    sources, feature_dim = _lay_out(request, found, faults)
    splits: Splits = {}
    timelines: dict[str, Timeline] = {}
    if table is not None and found:
        _match_videos(request, found, table, faults)
        for name in sorted(sources.keys() & table.segments.keys()):
            frames = sources[name].header.num_frames
            segments = table.segments[name]
            timelines[name] = make_timeline(table.path, segments, frames, request.background, faults)
        splits = (
            _attempt(partial(_split, request, sorted(found.keys() & table.mentions.keys()), faults), faults)
            or {}
        )
    return ConversionPlan(
        request=request,
        path=path,
        sources={name: sources[name] for name in sorted(timelines)},
        timelines={name: timelines[name] for name in sorted(timelines)},
        splits=splits,
        facts=_facts(timelines, splits, feature_dim, request.background),
        faults=tuple(faults),
    )


def write_conversion(plan: ConversionPlan, progress: Progress | None = None) -> Path:
    """Write the data set, all of it or nothing, and return its folder.

    Raises:
        InputError: The plan has an error, a feature is not finite, or the data set exists by now.
        OperationalError: Writing failed.
    """
    for fault in plan.errors:
        raise InputError(str(fault), hint=fault.hint)
    task = (progress or NullProgress()).task("converting", len(plan.sources))
    with new_dataset(plan.request.data_root, plan.request.dataset) as folder, task as bar:
        write_index(folder, tuple(plan.facts.class_counts), plan.splits)
        for name, source in plan.sources.items():
            copy_features(source, folder.features(name))
            runs = plan.timelines[name].runs
            write_labels(folder.ground_truth(name), chain.from_iterable(repeat(*run) for run in runs))
            bar.advance()
    return plan.path


def _attempt(read: Callable[[], _T], faults: list[Fault]) -> _T | None:
    try:
        return read()
    except DataError as error:
        faults.append(error.fault)
        return None


def _lay_out(
    request: ConversionRequest, found: Mapping[str, FeatureSource | None], faults: list[Fault]
) -> tuple[dict[str, FeatureSource], int]:
    """Return the sources that agree on D, with their axes known, and D."""
    usable = {name: source for name, source in found.items() if source is not None}
    if not usable:
        return {}, 0
    headers = [source.header for source in usable.values()]
    look = partial(find_layout, request.features, headers, request.layout, request.feature_dim)
    layout, feature_dim = _attempt(look, faults) or (None, 0)
    if layout is None:
        return {}, 0
    sources = {name: source.laid_out(layout) for name, source in usable.items()}
    for name, source in list(sources.items()):
        if source.header.feature_dim != feature_dim:
            rows, columns = source.header.shape
            message = (
                f"expected feature_dim {feature_dim} ({layout.value}), but its shape is {rows} × {columns}."
            )
            faults.append(Fault(source.header.path, None, message))
            del sources[name]
    return sources, feature_dim


def _match_videos(
    request: ConversionRequest,
    found: Mapping[str, FeatureSource | None],
    table: SegmentTable,
    faults: list[Fault],
) -> None:
    for name, line in table.mentions.items():
        if name not in found:
            message = f"video {name!r} has no features in {request.features}."
            faults.append(Fault(table.path, line, message, hint=did_you_mean(name, sorted(found))))
    for name, source in found.items():
        if source is not None and name not in table.mentions:
            message = f"has no segment in {table.path} and is left out."
            faults.append(Fault(source.header.path, None, message, Severity.WARNING))


def _split(request: ConversionRequest, names: list[str], faults: list[Fault]) -> Splits:
    if request.bundles is not None:
        return given_splits(request.bundles, names, faults)
    return cut_split(
        request.features,
        names,
        test_fraction=request.test_fraction,
        seed=request.seed,
        group_pattern=request.group_pattern,
        faults=faults,
    )


def _facts(
    timelines: Mapping[str, Timeline], splits: Splits, feature_dim: int, background: str
) -> DatasetFacts:
    counts: Counter[str] = Counter()
    lengths = []
    for timeline in timelines.values():
        lengths.append(sum(frames for _, frames in timeline.runs))
        for label, frames in timeline.runs:
            counts[label] += frames
    names = sorted(counts, key=lambda name: (name != background, name))
    return DatasetFacts(
        videos=len(timelines),
        frames=sum(lengths),
        feature_dim=feature_dim,
        longest=max(lengths, default=0),
        class_counts={name: counts[name] for name in names},
        splits={split: (len(train), len(test)) for split, (train, test) in splits.items()},
    )
