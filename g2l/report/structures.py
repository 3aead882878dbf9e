"""The structures as pictures: rates of each layer, and their paths through the local search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, zip_longest

from g2l.figures.results import receptive_fields
from g2l.figures.search import rate_paths, rates_by_stage
from g2l.report.blocks import Block, Picture, Table, Text, Warnings, of_each
from g2l.report.facts import RunFacts
from g2l.report.words import count, counted, receptive_field

_BRANCHED = (
    "The network that was kept has several branches around each of these rates (--ending {}), so that a "
    "label depends on a few frames more than shown here."
)


@of_each
def structure(number: int, run: RunFacts) -> list[Block]:
    """Return what the network sees, and the rates beside the hand-designed ones."""
    topology, seconds = run.topology, run.seconds_per_frame
    shown = {name: one for name, one in run.structures.items() if topology and topology.suits(one)}
    if topology is None or not shown:
        return []
    stages = max(len(one.stages) for one in shown.values())
    alone = {name: topology.stage_receptive_fields(one) for name, one in shown.items()}
    whole = {name: receptive_field(topology, one, seconds) for name, one in shown.items()}
    fields = {
        name: list(zip(accumulate(s.past for s in seen), accumulate(s.future for s in seen), strict=True))
        for name, seen in alone.items()
    }
    field = Picture(
        key=f"field-{number}",
        caption="Receptive field: the frames that the label of one frame depends on",
        alternative="; ".join(f"{name}: {one}" for name, (one, _) in whole.items()) + ".",
        draw=partial(receptive_fields, fields, seconds),
        table=Table(
            caption="What the label of a frame depends on, and the receptive field of each stage by itself",
            columns=(
                *("structure", "receptive field", "look-ahead"),
                *(f"stage {stage + 1} (frames)" for stage in range(stages)),
            ),
            rows=[
                (name, *whole[name], *(count(one.frames) for one in seen), *["–"] * (stages - len(seen)))
                for name, seen in alone.items()
            ],
        ),
    )
    names, first, last = list(shown), next(iter(shown.values())), list(shown.values())[-1]
    shapes = [", ".join(map(str, one.shape)) for one in (first, last)]
    words = f"Rates of {counted(len(last.shape), 'stage')} ({shapes[1]} rates). "
    if len(names) == 1:
        words = f"Rates of the {names[0]} structure."
    elif first.shape == last.shape:
        changed = sum(ours != theirs for ours, theirs in zip(last.rates, first.rates, strict=True))
        subject = f"{names[-1][0].upper()}{names[-1][1:]}"
        words += f"{subject}, {changed} of {len(last.rates)} rates differ from the {names[0]} ones."
    else:
        words += f"The {names[0]} structure has {len(first.shape)} stages ({shapes[0]} rates)."
    rows = enumerate(zip_longest(*(one.stages for one in shown.values()), fillvalue="–"), start=1)
    rates = Picture(
        key=f"structure-{number}",
        caption="Dilation rate of every layer",
        alternative=words,
        draw=partial(rates_by_stage, shown, topology),
        table=Table(
            caption="Rates in frames, first layer first",
            columns=("stage", *names),
            rows=[(str(stage), *(" ".join(map(str, rates)) for rates in row)) for stage, row in rows],
            words=1 + len(names),
        ),
    )
    blocks: list[Block] = [field, rates]
    if run.ending != "single":
        blocks.append(Warnings([_BRANCHED.format(run.ending)]))
    if seconds is None:
        blocks.append(Text("Seconds are not known: no frame rate was given (--fps)."))
    return blocks


@of_each
def paths(number: int, run: RunFacts) -> list[Block]:
    """Return every rate through the local search, with the weights of its branches."""
    local = run.local
    if local is None or not local.updates:
        return []
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
        rows=[
            (
                name,
                _arrow(path),
                " ".join(map(str, last[name].branches)),
                " ".join(f"{weight:.2f}" for weight in last[name].weights),
                f"{last[name].expectation:.2f}",
            )
            for name, path in known.items()
        ],
        words=4,
        folded=True,
    )
    return [
        Picture(
            key=f"paths-{number}",
            caption="Rate of every layer over the updates, its number at the right; dots are the branches "
            "before each update, the larger the more weight",
            alternative=words,
            draw=partial(rate_paths, local.updates, local.start.shape),
            table=table,
        )
    ]


def _place(number: int, shape: Sequence[int]) -> str:
    """Return where the layer with a number, from 0, is; nothing where it is beyond the shape."""
    for stage, layers in enumerate(shape):
        if number < layers:
            return f"layer {number + 1} of stage {stage + 1}"
        number -= layers
    return ""


def _arrow(path: Sequence[int]) -> str:
    return " → ".join(map(str, path))
