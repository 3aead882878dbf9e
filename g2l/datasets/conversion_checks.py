"""Whether features, labels and classes of a conversion fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from g2l.datasets.conversion_request import ConversionRequest
from g2l.datasets.faults import Fault, Severity, attempt
from g2l.datasets.feature_sources import find_layout
from g2l.datasets.mapping import ClassMapping
from g2l.datasets.new_dataset import Splits
from g2l.datasets.segment_table import SegmentTable
from g2l.datasets.source_files import FeatureSource
from g2l.datasets.timeline import Timeline
from g2l.datasets.validation import DatasetFacts
from g2l.errors import did_you_mean


def lay_out(
    request: ConversionRequest, found: Mapping[str, FeatureSource | None], faults: list[Fault]
) -> tuple[dict[str, FeatureSource], int]:
    """Return the sources that agree on D, with their axes known, and D."""
    usable = {name: source for name, source in found.items() if source is not None}
    if not usable:
        return {}, 0
    headers = [source.header for source in usable.values()]
    look = partial(find_layout, request.features, headers, request.layout, request.feature_dim)
    layout, feature_dim = attempt(look, faults) or (None, 0)
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


def match_videos(
    request: ConversionRequest,
    found: Mapping[str, FeatureSource | None],
    table: SegmentTable,
    faults: list[Fault],
) -> None:
    """Add a fault for each video with labels and no features, a warning for the reverse."""
    for name, line in table.mentions.items():
        if name not in found:
            message = f"video {name!r} has no features in {request.features}."
            faults.append(Fault(table.file(name), line, message, hint=did_you_mean(name, sorted(found))))
    for name, source in found.items():
        if source is not None and name not in table.mentions:
            message = f"has no segment in {table.path} and is left out."
            faults.append(Fault(source.header.path, None, message, Severity.WARNING))


def check_classes(
    path: Path,
    mapping: ClassMapping,
    table: SegmentTable,
    timelines: Mapping[str, Timeline],
    background: str,
    faults: list[Fault],
) -> None:
    """Add a fault for each class that a given mapping does not hold, at its first segment."""
    seen: set[str] = set()
    for video, segments in table.segments.items():
        for segment in segments:
            if segment.label not in mapping.index and segment.label not in seen:
                seen.add(segment.label)
                message = f"class {segment.label!r} is not in {path}."
                hint = did_you_mean(segment.label, mapping.names)
                faults.append(Fault(table.file(video), segment.line, message, hint=hint))
    if background not in mapping.index and any(timeline.filled for timeline in timelines.values()):
        message = f"class {background!r}, for frames that no segment covers, is not in it."
        faults.append(Fault(path, None, message, hint="--background names the class to take."))


def conversion_facts(
    timelines: Mapping[str, Timeline],
    splits: Splits,
    feature_dim: int,
    first: Sequence[str],
    extraction: Mapping[str, Any] | None,
) -> DatasetFacts:
    """Return what the data set will hold.

    Args:
        timelines: Classes of each video.
        splits: Train and test videos.
        feature_dim: D.
        first: All classes of a given mapping, which are kept whether or not there are frames of them, or the
            background alone, which comes first if there are.
        extraction: What `features.json` says, or None.
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
        extraction=extraction,
    )
