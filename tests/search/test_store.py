from __future__ import annotations

import json
from dataclasses import replace

import pytest
from search_landscapes import BUDGET, evaluation

from g2l.config import Budget
from g2l.evaluation import EvaluationStatus, EvaluationTask
from g2l.search.journal import EvaluationStore
from g2l.structure import DilationStructure

ONE = DilationStructure(((1, 2), (4,)))
TASK = EvaluationTask(ONE, BUDGET, 0)
IDENTITY = {"data": "f00d", "recipe": {"epochs": 5}}


@pytest.fixture
def store(tmp_path):
    return EvaluationStore(tmp_path / "store", IDENTITY)


def only_file(tmp_path):
    (path,) = (tmp_path / "store").rglob("*.json")
    return path


def test_what_was_put_is_got(store, tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.touch()
    done = evaluation(ONE, 61.5, checkpoint=weights)
    assert store.get(TASK) is None
    store.put(done)
    assert store.get(TASK) == done
    assert EvaluationStore(tmp_path / "store", dict(reversed(IDENTITY.items()))).get(TASK) == done
    assert list((tmp_path / "store").rglob("*.tmp")) == []


def test_everything_that_matters_is_part_of_the_question(store, tmp_path):
    store.put(evaluation(ONE, 61.5))
    assert store.get(EvaluationTask(DilationStructure(((1,), (2, 4))), BUDGET, 0)) is None
    assert store.get(EvaluationTask(ONE, Budget(BUDGET.amount, "epochs"), 0)) is None
    assert store.get(EvaluationTask(ONE, BUDGET, 1)) is None
    other = EvaluationStore(tmp_path / "store", IDENTITY | {"data": "beef"})
    assert other.get(EvaluationTask(ONE, BUDGET, 0)) is None


def test_failures_are_not_kept(store, tmp_path):
    store.put(evaluation(ONE, 0.0, status=EvaluationStatus.FAILED, reason="no memory"))
    assert store.get(TASK) is None
    assert not (tmp_path / "store").exists()


def test_a_checkpoint_that_is_gone_is_left_out(store, tmp_path):
    done = evaluation(ONE, 61.5, checkpoint=tmp_path / "gone.safetensors")
    store.put(done)
    assert store.get(TASK) == replace(done, checkpoint=None)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": "other"}', '{"schema": "g2l.evaluation/1"}'])
def test_a_damaged_file_counts_as_absent_and_is_replaced(store, tmp_path, caplog, damage):
    done = evaluation(ONE, 61.5)
    store.put(done)
    only_file(tmp_path).write_text(damage)
    assert store.get(TASK) is None
    assert "ignored, because it is not a stored evaluation" in caplog.text
    store.put(done)
    assert store.get(TASK) == done


def test_a_file_that_answers_another_question_is_ignored(store, tmp_path, caplog):
    store.put(evaluation(ONE, 61.5))
    path = only_file(tmp_path)
    value = json.loads(path.read_text())
    value["question"]["seed"] = 9
    path.write_text(json.dumps(value))
    assert store.get(TASK) is None
    assert "it answers another question" in caplog.text
