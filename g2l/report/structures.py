"""The structures as pictures: rates of each layer, and their paths through the local search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from g2l.report.blocks import Block, Paragraph, Picture, Section, Table, Warnings, of_each
from g2l.report.facts import LayerPath, LocalFacts, RunFacts
from g2l.report.figures import markup, rate_paths, rates_by_stage
from g2l.report.words import count, counted, receptive_field
from g2l.structure import DilationStructure, LayerTopology

_BRANCHED = (
    "The network that was kept has several branches around each of these rates (--ending {}), so that a "
    "label depends on a few frames more than shown here."
)


def structure(runs: Sequence[RunFacts]) -> Section:
    """Return the section: layers × rates of each stage beside the hand-designed ones, and what they see."""
    return Section(
        "structure", "The structure", of_each(runs, _structure, "The network of this run is not known.")
    )


def _structure(number: int, run: RunFacts) -> list[Block]:
    topology = run.topology
    shown = {name: one for name, one in run.structures.items() if topology and topology.suits(one)}
    if topology is None or not shown:
        return []
    blocks: list[Block] = [
        _receptive_field(shown, topology, run),
        _rates(shown, topology, f"structure-{number}"),
    ]
    if run.ending != "single":
        blocks.append(Warnings((_BRANCHED.format(run.ending),)))
    if run.seconds_per_frame is None:
        blocks.append(Paragraph("Seconds are not known: no frame rate was given (--fps)."))
    return blocks


def _receptive_field(shown: Mapping[str, DilationStructure], topology: LayerTopology, run: RunFacts) -> Table:
    seconds = run.seconds_per_frame
    stages = _stages(shown)
    return Table(
        caption="What the label of a frame depends on, and the receptive field of each stage by itself",
        columns=("structure", "receptive field", "look-ahead", *(f"stage {n + 1} (frames)" for n in stages)),
        rows=tuple(
            (
                name,
                *receptive_field(topology, one, seconds),
                *_padded([count(seen.frames) for seen in topology.stage_receptive_fields(one)], stages),
            )
            for name, one in shown.items()
        ),
    )


def _rates(shown: Mapping[str, DilationStructure], topology: LayerTopology, key: str) -> Picture:
    names = list(shown)
    first, last = shown[names[0]], shown[names[-1]]
    shapes = [", ".join(map(str, one.shape)) for one in (first, last)]
    words = f"Rates of {counted(len(last.shape), 'stage')} ({shapes[1]} rates). "
    if len(names) == 1:
        words = f"Rates of the {names[0]} structure."
    elif first.shape == last.shape:
        changed = sum(ours != theirs for ours, theirs in zip(last.rates, first.rates, strict=True))
        words += (
            f"{names[-1][0].upper()}{names[-1][1:]}, {changed} of {len(last.rates)} rates differ from the "
            f"{names[0]} ones."
        )
    else:
        words += f"The {names[0]} structure has {len(first.shape)} stages ({shapes[0]} rates)."
    table = Table(
        caption="Rates in frames, first layer first",
        columns=("stage", *names),
        rows=tuple(
            (str(number + 1), *(" ".join(map(str, rates)) for rates in row))
            for number, row in enumerate(zip_longest(*(one.stages for one in shown.values()), fillvalue="–"))
        ),
        words=1 + len(names),
    )
    caption = "Dilation rate of every layer"

    def draw() -> str:
        return markup(rates_by_stage(shown, topology), key, caption, words)

    return Picture(caption=caption, alternative=words, draw=draw, table=table)


def _stages(shown: Mapping[str, DilationStructure]) -> range:
    """Return the numbers of the stages that some structure has, from 0."""
    return range(max(len(one.stages) for one in shown.values()))


def _padded(cells: Sequence[str], stages: range) -> tuple[str, ...]:
    """Return the cells of a row, a dash for each stage that its structure lacks."""
    return (*cells, *["–"] * (len(stages) - len(cells)))


def paths(runs: Sequence[RunFacts]) -> Section:
    """Return the section: every rate through the local search, with the weights of its branches."""

    def build(number: int, run: RunFacts) -> list[Block]:
        return [_paths(run.local, f"paths-{number}")] if run.local is not None and run.local.paths else []

    searching = any(run.local is not None for run in runs)
    reason = "The local search has not moved a rate yet." if searching else "No local search in this run."
    return Section("paths", "Rates through the local search", of_each(runs, build, reason))


def _paths(local: LocalFacts, key: str) -> Picture:
    moved = [path for path in local.paths if path.rates[-1] != path.start]
    words = (
        f"{counted(len(local.paths[0].steps), 'update')} of {counted(len(local.paths), 'layer')}; "
        f"{counted(len(moved), 'rate')} ended elsewhere than {'it' if len(moved) == 1 else 'they'} started."
    )
    if moved:
        furthest = max(moved, key=lambda path: abs(math.log(path.rates[-1] / path.start)))
        where = _place(local.paths.index(furthest), local.start.shape) or furthest.name
        words += f" Furthest, in proportion, went {where}: {_arrow(furthest)}."
    table = Table(
        caption="Path of every rate, and the weights of the branches before the last update",
        columns=("layer", "rates", "last branches", "their weights", "expectation"),
        rows=tuple(
            (
                path.name,
                _arrow(path),
                " ".join(map(str, path.steps[-1].branches)),
                " ".join(f"{weight:.2f}" for weight in path.steps[-1].weights),
                f"{path.steps[-1].expectation:.2f}",
            )
            for path in local.paths
        ),
        words=4,
        folded=True,
    )
    caption = (
        "Rate of every layer over the updates, its number at the right; dots are the branches before each "
        "update, the larger the more weight"
    )

    def draw() -> str:
        return markup(rate_paths(local.paths, local.start.shape), key, caption, words)

    return Picture(caption=caption, alternative=words, draw=draw, table=table)


def _place(number: int, shape: Sequence[int]) -> str:
    """Return where the layer with a number, from 0, is; nothing where it is beyond the shape."""
    for stage, layers in enumerate(shape):
        if number < layers:
            return f"layer {number + 1} of stage {stage + 1}"
        number -= layers
    return ""


def _arrow(path: LayerPath) -> str:
    return " → ".join(map(str, path.rates))
