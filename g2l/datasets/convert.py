"""From features and labels of any kind to a data set in the MS-TCN layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from g2l.datasets.conversion_checks import check_classes, conversion_facts, lay_out, match_videos
from g2l.datasets.conversion_request import ConversionRequest
from g2l.datasets.faults import Fault, Severity, attempt
from g2l.datasets.feature_facts import FACTS_NAME, read_feature_facts
from g2l.datasets.feature_sources import copy_features, find_sources
from g2l.datasets.label_sources import read_label_source
from g2l.datasets.labels import write_labels
from g2l.datasets.mapping import ClassMapping, parse_mapping
from g2l.datasets.new_dataset import Splits, new_dataset, new_path, write_index
from g2l.datasets.segment_table import SegmentTable
from g2l.datasets.source_files import FeatureSource, Layout
from g2l.datasets.splitting import cut_split, given_splits
from g2l.datasets.timeline import Timeline, make_timeline
from g2l.datasets.validation import DatasetFacts
from g2l.errors import InputError
from g2l.files import write_json
from g2l.progress import NullProgress, Progress


@dataclass(frozen=True, kw_only=True)
class ConversionPlan:
    """What will be written, as far as the faults let it be known.

    Attributes:
        request: What it was made for.
        path: Folder that will be made.
        sources: Features of each video that has segments.
        timelines: Its classes.
        facts: What the data set will hold; its classes are those of the mapping, or the background and the
            others sorted.
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


@dataclass(frozen=True)
class _Inputs:
    """What could be read: what `features.json` says, features by video, the mapping and the labels."""

    extraction: Mapping[str, Any] | None
    found: Mapping[str, FeatureSource | None]
    mapping: ClassMapping | None
    table: SegmentTable | None


def plan_conversion(request: ConversionRequest) -> ConversionPlan:
    """Check headers and all labels; nothing is written, no feature is read, and no fault hides another.

    Raises:
        InputError: A setting is out of range, or the data set exists already.
    """
    request.validate()
    path = new_path(request.data_root, request.dataset)
    faults: list[Fault] = []
    inputs = _read_inputs(request, faults)
    found, table, mapping = inputs.found, inputs.table, inputs.mapping
    # What g2l extracts is feature_dim × frames, also where no shape tells.
    layout = request.layout or (Layout.DT if inputs.extraction is not None else None)
    sources, feature_dim = lay_out(replace(request, layout=layout), found, faults)
    splits: Splits = {}
    timelines: dict[str, Timeline] = {}
    if table is not None and found:
        match_videos(request, found, table, faults)
        timelines = _make_timelines(request, sources, table, faults)
        names = sorted(found.keys() & table.mentions.keys())
        splits = attempt(partial(_split, request, names, faults), faults) or {}
        if request.mapping is not None and mapping is not None:
            check_classes(request.mapping, mapping, table, timelines, request.background, faults)
    first = (request.background,) if mapping is None else mapping.names
    return ConversionPlan(
        request=request,
        path=path,
        sources={name: sources[name] for name in timelines},
        timelines=timelines,
        splits=splits,
        facts=conversion_facts(timelines, splits, feature_dim, first, inputs.extraction),
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
        if plan.facts.extraction is not None:
            write_json(folder.path / FACTS_NAME, plan.facts.extraction)
    return plan.path


def _read_inputs(request: ConversionRequest, faults: list[Fault]) -> _Inputs:
    extraction = attempt(partial(read_feature_facts, request.features), faults)
    found = attempt(partial(find_sources, request.features, request.variable, faults), faults) or {}
    mapping = None
    if request.mapping is not None:
        mapping = attempt(partial(parse_mapping, request.mapping, faults), faults)
    fps = _known_fps(request, extraction, faults)
    classes = None if mapping is None else mapping.names
    table = attempt(partial(read_label_source, request, fps, classes, faults), faults)
    return _Inputs(extraction, found, mapping, table)


def _known_fps(
    request: ConversionRequest, given: Mapping[str, Any] | None, faults: list[Fault]
) -> float | None:
    """Return the rate of the features; `--fps` and `features.json` must not differ."""
    if given is None:
        return request.fps
    if request.fps is not None and request.fps != given["fps"]:
        message = f"says that the features have {given['fps']} frames per second, but --fps is {request.fps}."
        faults.append(Fault(request.features / FACTS_NAME, None, message))
    return float(given["fps"])


def _make_timelines(
    request: ConversionRequest, sources: Mapping[str, FeatureSource], table: SegmentTable, faults: list[Fault]
) -> dict[str, Timeline]:
    background = None if table.every_frame else request.background
    return {
        name: make_timeline(
            table.file(name), table.segments[name], sources[name].header.num_frames, background, faults
        )
        for name in sorted(sources.keys() & table.segments.keys())
        if table.segments[name]
    }


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
