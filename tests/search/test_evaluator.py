from __future__ import annotations

from g2l.evaluation import Budget, EvaluationTask, Phase
from g2l.search.evaluator import grouped
from g2l.structure import DilationStructure

STRUCTURES = [DilationStructure(((rate,),)) for rate in (1, 2, 4, 8, 16)]


def task(structure, steps=7, seed=0, lineage=()):
    return EvaluationTask(structure, Budget(steps, "steps"), seed, lineage)


def test_groups_are_of_one_kind_and_size():
    alike = [task(structure) for structure in STRUCTURES]
    heir = task(STRUCTURES[0], lineage=(Phase(3, STRUCTURES[1]),))
    longer, other_seed = task(STRUCTURES[0], steps=14), task(STRUCTURES[0], seed=1)
    tasks = [*alike, heir, longer, other_seed]
    assert list(grouped(tasks, 2)) == [
        tuple(alike[:2]),
        tuple(alike[2:4]),
        tuple(alike[4:]),
        (heir,),
        (longer,),
        (other_seed,),
    ]
    assert [len(group) for group in grouped(alike, 1)] == [1] * 5
    assert list(grouped([], 3)) == []
