"""Planning a conversion, which finds every error before anything is written, and writing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.convert.labels import read_labels_of
from g2l.datasets.convert.request import ConversionRequest, Layout
from g2l.datasets.convert.segments import LabelSettings, SegmentTable
from g2l.datasets.convert.sources import FeatureSource, find_layout, find_sources
from g2l.datasets.errors import DataError, DataWarning, attempt
from g2l.datasets.facts import FACTS_NAME, read_feature_facts, write_dataset_facts
from g2l.datasets.holdout import cut_holdout, subjects_of
from g2l.datasets.labels import write_labels
from g2l.datasets.layout import (
    ClassMapping,
    Splits,
    find_split_files,
    new_dataset,
    new_path,
    parse_mapping,
    parse_split,
    write_index,
)
from g2l.datasets.reading import is_folder
from g2l.datasets.validation import DatasetFacts
from g2l.errors import brief, did_you_mean
from g2l.files import write_json
from g2l.progress import NullProgress, Progress

Sources = Mapping[str, FeatureSource | None]
Runs = Sequence[tuple[str, int]]
"""Class and number of frames, in order."""


@dataclass(frozen=True, kw_only=True)
class ConversionPlan:
    """Files to write, as far as errors do not hide them."""

    request: ConversionRequest
    path: Path
    sources: Mapping[str, FeatureSource]  # of each video that has segments
    timelines: Mapping[str, Runs]  # where every frame has a label, they may end before the features do
    filled: int  # frames that no segment covers
    splits: Splits
    facts: DatasetFacts
    issues: tuple[DataError, ...]

    @property
    def errors(self) -> tuple[DataError, ...]:
        """Issues that stop the conversion."""
        return tuple(issue for issue in self.issues if issue.severity == "error")


def plan_conversion(request: ConversionRequest) -> ConversionPlan:
    """Check headers and all labels; nothing is written, no feature is read, and no error hides another.

    InputError if a setting is out of range, or the data set exists already.
    """
    request.validate()
    path = new_path(request.data_root, request.dataset)
    issues: list[DataError] = []
    extraction = attempt(partial(read_feature_facts, request.features), issues)
    found: Sources = attempt(partial(find_sources, request.features, request.variable, issues), issues) or {}
    mapping = request.mapping and attempt(partial(parse_mapping, request.mapping, issues), issues)
    fps = request.fps
    if extraction is not None:
        if fps not in (None, extraction["fps"]):
            message = f"the features have {extraction['fps']} frames per second, but --fps is {fps}."
            issues.append(DataError(request.features / FACTS_NAME, None, message))
        fps = float(extraction["fps"])
    settings = LabelSettings(
        fps=fps,
        label_fps=request.label_fps,
        offset=request.offset,
        tier=request.tier,
        seconds=request.fps is not None and request.label_fps is None,
        videos=found.keys(),
        classes=mapping.names if mapping else None,
    )
    table = attempt(partial(read_labels_of, request.features, request.segments, settings, issues), issues)
    # Features of `g2l data extract` are feature_dim × frames, even where no shape shows it.
    layout = request.layout or (Layout.DT if extraction is not None else None)
    sources, feature_dim = _lay_out(request, layout, found, issues)
    splits: Splits = {}
    timelines: dict[str, Runs] = {}
    filled: Counter[str] = Counter()
    if table is not None and found:
        _match_videos(request.features, found, table)
        for name in sorted(sources):
            if table.segments.get(name):
                frames = sources[name].header.num_frames
                tolerance = request.length_tolerance
                timelines[name], filled[name] = table.timeline(name, frames, request.background, tolerance)
        names = sorted(found.keys() & table.mentions.keys())
        splits = attempt(partial(_split, request, names, issues), issues) or {}
        if request.mapping and mapping:
            _check_classes(request.mapping, mapping, table, request.background, filled.total())
    first = mapping.names if mapping else (request.background,)
    return ConversionPlan(
        request=request,
        path=path,
        sources={name: sources[name] for name in timelines},
        timelines=timelines,
        filled=filled.total(),
        splits=splits,
        facts=_facts(timelines, splits, feature_dim, first, fps, extraction),
        issues=tuple(issues),
    )


def write_conversion(plan: ConversionPlan, progress: Progress | None = None) -> Path:
    """Write the data set, all of it or nothing, and return its folder.

    InputError if the plan has an error, a feature is not finite, or the data set exists by now.
    """
    for error in plan.errors:
        raise error
    request, facts = plan.request, plan.facts
    task = (progress or NullProgress()).task("converting", len(plan.sources))
    with new_dataset(request.data_root, request.dataset) as folder, task as bar:
        write_index(folder, tuple(facts.class_counts), plan.splits)
        for name, source in plan.sources.items():
            runs = plan.timelines[name]
            features = source.read(sum(frames for _, frames in runs))
            np.save(folder.features(name), features, allow_pickle=False)
            write_labels(folder.ground_truth(name), chain.from_iterable(repeat(*run) for run in runs))
            bar.advance()
        if facts.extraction is not None:
            write_json(folder.path / FACTS_NAME, facts.extraction)
        origin = {"features": str(request.features), "segments": request.segments and str(request.segments)}
        named = request.background != "background" and request.background in facts.class_counts
        kept: dict[str, Any] = {"fps": facts.fps, "group_pattern": request.group_pattern}
        kept["background"] = [request.background] if named else None
        kept["source"] = {"made_by": "g2l data convert", **origin}
        write_dataset_facts(folder.path, kept)
    return plan.path


def _lay_out(
    request: ConversionRequest, layout: Layout | None, found: Sources, issues: list[DataError]
) -> tuple[dict[str, FeatureSource], int]:
    usable = {name: source for name, source in found.items() if source is not None}
    if not usable:
        return {}, 0
    headers = [source.header for source in usable.values()]
    try:
        layout, feature_dim = find_layout(request.features, headers, layout, request.feature_dim)
    except DataError as error:
        issues.append(error)
        return {}, 0
    sources = {}
    for name, source in usable.items():
        laid_out = source.laid_out(layout)
        if laid_out.header.feature_dim == feature_dim:
            sources[name] = laid_out
        else:
            shape = "{} × {}".format(*source.header.shape)
            message = f"expected feature_dim {feature_dim} ({layout.value}), but its shape is {shape}."
            issues.append(DataError(source.header.path, None, message))
    return sources, feature_dim


def _match_videos(features: Path, found: Sources, table: SegmentTable) -> None:
    for name, line in table.mentions.items():
        if name not in found:
            hint = did_you_mean(name, sorted(found))
            message = f"video {brief(repr(name))} has no features in {features}."
            table.error(table.file(name), line, message, hint=hint)
    for name, source in found.items():
        if source is not None and name not in table.mentions:
            table.warn(source.header.path, None, f"has no segment in {table.path} and is left out.")


def _split(request: ConversionRequest, names: list[str], issues: list[DataError]) -> Splits:
    """Return the given bundles, or one split, or one per subject; no subject is on both sides."""
    if request.bundles is not None:
        return _given_splits(request.bundles, names, issues)
    if request.leave_one_out:
        return _leave_one_out(request, names)
    if len(names) < 2:
        needed = "a split into train and test needs at least 2 videos with segments"
        raise DataError(request.features, None, f"{needed}, but found {len(names)}.")
    cut = cut_holdout(names, request.test_fraction, request.seed, request.group_pattern)
    if cut.notice:
        message = "train and test may show the same people: the names of the videos do not identify subjects."
        hint = "--group-pattern finds the subject in a name; '' when there is none."
        issues.append(DataWarning(request.features, None, message, hint=hint))
    return {1: (cut.train, cut.holdout)}


def _leave_one_out(request: ConversionRequest, names: list[str]) -> Splits:
    """Return one split per subject, or per video where the group pattern is empty."""
    subjects = subjects_of(names, request.group_pattern)
    if request.group_pattern == "" and len(names) > 1:
        subjects = {name: name for name in names}
    if not subjects:
        raise DataError(
            request.features,
            None,
            "expected at least 2 subjects in the names of the videos, one for each split.",
            hint="--group-pattern finds the subject in a name; '' takes each video as one.",
        )
    return {
        number: (
            tuple(name for name in names if subjects[name] != subject),
            tuple(name for name in names if subjects[name] == subject),
        )
        for number, subject in enumerate(sorted(set(subjects.values())), start=1)
    }


def _given_splits(folder: Path, names: Sequence[str], issues: list[DataError]) -> Splits:
    if not is_folder(folder):
        raise DataError(folder, None, "no such folder of bundles.")
    files = find_split_files(folder)
    if not files:
        raise DataError(folder, None, "expected train.split<k>.bundle and test.split<k>.bundle.")
    splits = {}
    for number in sorted({number for _, number in files}):
        sides = ("train", "test")
        paths = [files.get((side, number), folder / f"{side}.split{number}.bundle") for side in sides]
        train, test = parse_split(paths, issues)
        for path, lines in zip(paths, (train, test), strict=True):
            for name, line in lines.items():
                if name not in names:
                    message = f"video {name!r} has no features with segments."
                    issues.append(DataError(path, line, message, hint=did_you_mean(name, names)))
        splits[number] = (tuple(train), tuple(test))
    return splits


def _check_classes(
    path: Path, mapping: ClassMapping, table: SegmentTable, background: str, filled: int
) -> None:
    seen: set[str] = set(mapping.names)
    for video, segments in table.segments.items():
        for segment in segments:
            if segment.label not in seen:
                seen.add(segment.label)
                hint = did_you_mean(segment.label, mapping.names)
                message = f"class {segment.label!r} is not in {path}."
                table.error(table.file(video), segment.line, message, hint=hint)
    if background not in mapping.index and filled:
        message = f"class {background!r}, for frames that no segment covers, is not in it."
        table.error(path, None, message, hint="--background names the class to take.")


def _facts(
    timelines: Mapping[str, Runs],
    splits: Splits,
    feature_dim: int,
    first: Sequence[str],
    fps: float | None,
    extraction: Mapping[str, Any] | None,
) -> DatasetFacts:
    """Return the contents; `first` holds the given classes, or the background."""
    counts: Counter[str] = Counter(dict.fromkeys(first, 0) if len(first) > 1 else {})
    for runs in timelines.values():
        for label, frames in runs:
            counts[label] += frames
    rank = {name: index for index, name in enumerate(first)}
    names = sorted(counts, key=lambda name: (rank.get(name, len(rank)), name))
    lengths = [sum(frames for _, frames in runs) for runs in timelines.values()]
    return DatasetFacts(
        videos=len(timelines),
        frames=sum(lengths),
        feature_dim=feature_dim,
        longest=max(lengths, default=0),
        class_counts={name: counts[name] for name in names},
        splits={split: (len(train), len(test)) for split, (train, test) in splits.items()},
        fps=fps,
        extraction=extraction,
    )
