"""Experiment A: train the benchmark structures fully under several seeds, scoring them on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path

from benchmarks.search_efficiency.problems import Problem, search_space
from benchmarks.search_efficiency.records import Record, Records
from benchmarks.search_efficiency.structures import benchmark_structures
from benchmarks.search_efficiency.training import DECAYS, trajectory
from g2l.files import fingerprint
from g2l.structure import DilationStructure

FILE = "correlation.jsonl"


def correlate(problem: Problem, seeds: Sequence[int], work: Path) -> Iterator[Record]:
    """Yield one record per structure and seed, training those that `work` does not hold yet."""
    records = Records(work / FILE)
    structures = benchmark_structures(search_space(problem))
    for seed in seeds:
        for name, structure in structures.items():
            record = trained(problem, structure, seed, records, ladder=problem.ladder, decays=DECAYS)
            yield record | {"name": name}


def recorded(problem: Problem, work: Path) -> Iterator[Record]:
    """Yield the records that `correlate` has made so far, of every seed from 0 on."""
    records = Records(work / FILE)
    structures = benchmark_structures(search_space(problem)).values()
    for seed in count():
        keys = [_key(problem, structure, seed, problem.ladder, DECAYS) for structure in structures]
        found = [record for record in map(records.find, keys) if record is not None]
        if not found:
            return
        yield from found


def trained(
    problem: Problem,
    structure: DilationStructure,
    seed: int,
    records: Records,
    *,
    ladder: Sequence[int],
    decays: Sequence[float],
) -> Record:
    """Return the record of one full training, from `records` or else by training.

    Args:
        problem: Data, network and recipe.
        structure: Its rates.
        seed: Of the training.
        records: Where it is looked up and written down.
        ladder: Steps to score after.
        decays: Of the averaged weights that are scored too.
    """
    key = _key(problem, structure, seed, ladder, decays)
    record = records.find(key)
    if record is None:
        started = time.perf_counter()
        scores = trajectory(problem, structure, seed, ladder=ladder, decays=decays)
        values = [asdict(score) for score in scores]
        record = {
            "key": key,
            "problem": problem.name,
            "structure": structure.as_lists(),
            "seed": seed,
            "seconds": round(time.perf_counter() - started, 2),
            "scores": values,
        }
        records.append(record)
    return record


def _key(
    problem: Problem, structure: DilationStructure, seed: int, ladder: Sequence[int], decays: Sequence[float]
) -> str:
    question = {
        "problem": problem.identity(),
        "structure": structure.as_lists(),
        "seed": seed,
        "ladder": list(ladder),
        "decays": list(decays),
    }
    return fingerprint(question)
