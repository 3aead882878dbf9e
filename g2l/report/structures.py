"""The structures as pictures: rates of each layer, and their paths through the local search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, zip_longest

from g2l.figures.results import receptive_fields
from g2l.figures.search import rate_paths, rates_by_stage
from g2l.report.blocks import Block, Paragraph, Picture, Section, Table, Warnings, of_each
from g2l.report.facts import LocalFacts, RunFacts
from g2l.report.words import count, counted, receptive_field
from g2l.structure import DilationStructure, LayerTopology

_BRANCHED = (
    "The network that was kept has several branches around each of these rates (--ending {}), so that a "
    "label depends on a few frames more than shown here."
)


def structure(runs: Sequence[RunFacts]) -> Section:
    """Return the section: what the network sees, and the rates beside the hand-designed ones."""
    return Section("structure", "The structure", of_each(runs, _structure))


def _structure(number: int, run: RunFacts) -> list[Block]:
    topology = run.topology
    shown = {name: one for name, one in run.structures.items() if topology and topology.suits(one)}
    if topology is None or not shown:
        return []
    blocks: list[Block] = [
        _receptive_field(shown, topology, run, f"field-{number}"),
        _rates(shown, topology, f"structure-{number}"),
    ]
    if run.ending != "single":
        blocks.append(Warnings((_BRANCHED.format(run.ending),)))
    if run.seconds_per_frame is None:
        blocks.append(Paragraph("Seconds are not known: no frame rate was given (--fps)."))
    return blocks


def _receptive_field(
    shown: Mapping[str, DilationStructure], topology: LayerTopology, run: RunFacts, key: str
) -> Picture:
    seconds = run.seconds_per_frame
    stages = _stages(shown)
    alone = {name: topology.stage_receptive_fields(one) for name, one in shown.items()}
    table = Table(
        caption="What the label of a frame depends on, and the receptive field of each stage by itself",
        columns=("structure", "receptive field", "look-ahead", *(f"stage {n + 1} (frames)" for n in stages)),
        rows=tuple(
            (
                name,
                *receptive_field(topology, one, seconds),
                *_padded([count(seen.frames) for seen in alone[name]], stages),
            )
            for name, one in shown.items()
        ),
    )
    fields = {
        name: list(
            zip(
                accumulate(seen.past for seen in found),
                accumulate(seen.future for seen in found),
                strict=True,
            )
        )
        for name, found in alone.items()
    }
    words = [f"{name}: {receptive_field(topology, one, seconds)[0]}" for name, one in shown.items()]
    return Picture(
        key=key,
        caption="Receptive field: the frames that the label of one frame depends on",
        alternative="; ".join(words) + ".",
        draw=partial(receptive_fields, fields, seconds),
        table=table,
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
    draw = partial(rates_by_stage, shown, topology)
    return Picture(key=key, caption="Dilation rate of every layer", alternative=words, draw=draw, table=table)


def _stages(shown: Mapping[str, DilationStructure]) -> range:
    """Return the numbers of the stages that some structure has, from 0."""
    return range(max(len(one.stages) for one in shown.values()))


def _padded(cells: Sequence[str], stages: range) -> tuple[str, ...]:
    """Return the cells of a row, a dash for each stage that its structure lacks."""
    return (*cells, *["–"] * (len(stages) - len(cells)))


def paths(runs: Sequence[RunFacts]) -> Section:
    """Return the section: every rate through the local search, with the weights of its branches."""

    def build(number: int, run: RunFacts) -> list[Block]:
        return [_paths(run.local, f"paths-{number}")] if run.local is not None and run.local.updates else []

    return Section("paths", "Rates through the local search", of_each(runs, build))


def _paths(local: LocalFacts, key: str) -> Picture:
    known, last = local.paths, local.updates[-1].layers
    moved = {name: path for name, path in known.items() if path[-1] != path[0]}
    words = (
        f"{counted(len(local.updates), 'update')} of {counted(len(known), 'layer')}; "
        f"{counted(len(moved), 'rate')} ended elsewhere than {'it' if len(moved) == 1 else 'they'} started."
    )
    if moved:
        furthest = max(moved, key=lambda name: abs(math.log(moved[name][-1] / moved[name][0])))
        where = _place(list(known).index(furthest), local.start.shape) or furthest
        words += f" Furthest, in proportion, went {where}: {_arrow(moved[furthest])}."
    table = Table(
        caption="Path of every rate, and the weights of the branches before the last update",
        columns=("layer", "rates", "last branches", "their weights", "expectation"),
        rows=tuple(
            (
                name,
                _arrow(path),
                " ".join(map(str, last[name].branches)),
                " ".join(f"{weight:.2f}" for weight in last[name].weights),
                f"{last[name].expectation:.2f}",
            )
            for name, path in known.items()
        ),
        words=4,
        folded=True,
    )
    return Picture(
        key=key,
        caption="Rate of every layer over the updates, its number at the right; dots are the branches before "
        "each update, the larger the more weight",
        alternative=words,
        draw=partial(rate_paths, local.updates, local.start.shape),
        table=table,
    )


def _place(number: int, shape: Sequence[int]) -> str:
    """Return where the layer with a number, from 0, is; nothing where it is beyond the shape."""
    for stage, layers in enumerate(shape):
        if number < layers:
            return f"layer {number + 1} of stage {stage + 1}"
        number -= layers
    return ""


def _arrow(path: Sequence[int]) -> str:
    return " → ".join(map(str, path))
