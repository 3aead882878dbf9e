"""An interrupted benchmark continues, and computes nothing twice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_efficiency.records import Records, read_records
from benchmarks.search_efficiency.scores import score_table
from benchmarks.search_efficiency.structures import benchmark_structures
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology


def test_records_are_found_again(tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    records = Records(path)
    assert records.find("a") is None
    records.append({"key": "a", "value": 1})
    assert records.find("a") == {"key": "a", "value": 1}
    assert Records(path).find("a") == {"key": "a", "value": 1}


def test_a_torn_line_costs_itself_only(tmp_path):
    path = tmp_path / "records.jsonl"
    Records(path).append({"key": "a"})
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    records = Records(path)
    assert records.find("b") is None
    records.append({"key": "c"})
    assert [record["key"] for record in read_records(path)] == ["a", "c"]


def test_two_writers_keep_the_lines_of_both(tmp_path):
    path = tmp_path / "records.jsonl"
    one, other = Records(path), Records(path)
    one.append({"key": "a"})
    other.append({"key": "b"})
    one.append({"key": "c"})
    assert [record["key"] for record in read_records(path)] == ["a", "b", "c"]


def record(rate: int, seed: int, value: float) -> dict:
    scores = [
        {"step": step, "weights": weights, "part": part, "values": {"f1": value + step}}
        for step, part in ((1, "holdout"), (2, "holdout"), (2, "test"))
        for weights in ("0.9", "raw")
    ]
    return {"key": f"{rate}-{seed}", "structure": [[rate, 1]], "seed": seed, "scores": scores}


def test_scores_are_arranged_by_seed_and_structure():
    table = score_table([record(1, 0, 10), record(2, 0, 20), record(1, 1, 30), record(2, 1, 40)])
    assert table.structures == ("1,1", "2,1")
    assert (table.seeds, table.steps, table.weights) == ((0, 1), (1, 2), ("raw", "0.9"))
    assert table.values[1, "raw", "holdout", "f1"].tolist() == [[11, 21], [31, 41]]
    assert table.final("test").tolist() == [[12, 22], [32, 42]]


def test_a_structure_that_lacks_a_seed_is_left_out():
    table = score_table([record(1, 0, 10), record(2, 0, 20), record(1, 1, 30)])
    assert table.structures == ("1,1",)
    assert np.isfinite(table.final("test")).all()


@pytest.mark.parametrize("shape", [(4,), (6, 6), (8, 8)])
def test_there_are_at_least_24_distinct_structures_of_the_space(shape):
    space = SearchSpace.powers_of_two(LayerTopology.serial(shape), max_exponent=10, longest=300)
    structures = benchmark_structures(space)
    assert len(set(structures.values())) == len(structures) >= 24
    assert all(space.contains(structure) for structure in structures.values())
    assert structures == benchmark_structures(space)
    assert structures["2^l"].stages[0] == tuple(2**layer for layer in range(shape[0]))
    assert min(structures["random large 1"].rates) >= 32
