from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_landscapes import BUDGET, Landscape, evaluation

from g2l.config import Budget, CandidateCheckpoints, ExecutorKind, GlobalSearchConfig, Strategy
from g2l.errors import InputError, OperationalError
from g2l.evaluation import EvaluationStatus, EvaluationTask
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.journal import EvaluationStore, Journal, evaluation_from_json, evaluation_to_json
from g2l.search.loop import run_global_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

SPACE = SearchSpace(LayerTopology(), (3, 3), (1, 2, 4, 8))
HAND = DilationStructure.hand_designed(2, 3)
TARGET = SPACE.from_rates([8, 1, 4, 2, 8, 1])
CONFIG = GlobalSearchConfig(strategy=Strategy.GENETIC, population=4, generations=3, budget=BUDGET)
IDENTITY = {"data": "f00d", "recipe": {"epochs": 5}}


def search(path, *, resume=False, fitness=None, config=CONFIG, seed=3, identity=IDENTITY, **options):
    with Journal(path, resume=resume, identity=identity) as journal:
        return run_global_search(
            Search(
                SPACE,
                config,
                SerialExecutor(fitness or Landscape(TARGET)),
                seed=seed,
                hand_designed=HAND,
                journal=journal,
                **options,
            )
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted search with a failing candidate: its result and the lines of its journal."""
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    fitness = Landscape(TARGET)
    search(path, fitness=fitness)
    path.unlink()
    fitness = Landscape(TARGET, broken=frozenset(fitness.calls[5:6]))
    result = search(path, fitness=fitness)
    return result, path.read_bytes().splitlines(keepends=True), fitness.broken


def test_resume_after_every_line_gives_the_same_result(whole, tmp_path):
    result, lines, broken = whole
    for count in range(len(lines) + 1):
        path = tmp_path / f"{count}.jsonl"
        path.write_bytes(b"".join(lines[:count]))
        fitness = Landscape(TARGET, broken=broken)
        assert search(path, resume=True, fitness=fitness) == result
        recorded = sum(b'"event":"evaluation"' in line for line in lines[:count])
        assert len(set(fitness.calls)) == result.evaluations - recorded
        # The generation lines hold the state of the random generator.
        assert path.read_bytes().splitlines(keepends=True) == lines


def test_a_last_line_of_garbage_is_dropped(whole, tmp_path):
    result, lines, broken = whole
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(lines[:6]) + b"\0\0\0\0\n")
    assert search(path, resume=True, fitness=Landscape(TARGET, broken=broken)) == result


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"\0\0\0", "expected one line of JSON"),
        (b"{}", "expected `event` to be evaluation, generation or end, but found None"),
        (b"[1]", "but found None"),
        (b'{"event":"dance"}', "but found 'dance'"),
        (b'{"event":"header"}', "expected its header in line 1 and nowhere else"),
        (b'{"event":"evaluation"}', "the journal is damaged"),
        (b'{"event":"evaluation","evaluation":{"structure":[[1]]}}', "`budget` is missing"),
        (b'{"event":"generation"}', "the journal is damaged"),
    ],
)
def test_a_damaged_middle_line_is_named(whole, tmp_path, damage, message):
    _, lines, _ = whole
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join([*lines[:2], damage + b"\n", *lines[3:6]]))
    with pytest.raises(InputError, match=f"journal.jsonl:3: .*{message}"):
        search(path, resume=True)


def test_a_duplicated_line_is_refused(whole, tmp_path):
    _, lines, _ = whole
    path = tmp_path / "journal.jsonl"
    for number in range(2, len(lines)):
        path.write_bytes(b"".join([*lines[:number], *lines[number - 1 :]]))
        with pytest.raises(InputError, match=f"journal.jsonl:{number + 1}: .*recorded a second time"):
            search(path, resume=True)


def test_another_file_is_not_overwritten(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text("my notes\n")
    with pytest.raises(InputError, match=r"journal.jsonl:1: expected one line of JSON"):
        search(path, resume=True)
    assert path.read_text() == "my notes\n"


def test_without_resume_a_journal_is_refused(whole, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(whole[1]))
    with pytest.raises(InputError, match="there is a journal of a search already") as error:
        search(path)
    assert "--resume" in error.value.hint
    assert path.read_bytes() == b"".join(whole[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, r"`seed` was 3 and is 4"),
        ({"config": CONFIG.replace(population=5)}, r"`config.population` was 4 and is 5"),
        ({"config": CONFIG.replace(budget=Budget(8, "steps"))}, r"`config.budget.amount` was 7 and is 8"),
        ({"identity": IDENTITY | {"data": "beef"}}, r"`identity.data` was 'f00d' and is 'beef'"),
        (
            {"config": CONFIG.replace(fitness="edit", generations=9)},
            r"`config.fitness` was 'f1' and is 'edit', `config.generations` was 3 and is 9",
        ),
    ],
)
def test_a_journal_of_other_settings_is_refused_and_named(whole, tmp_path, change, message):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(whole[1]))
    with pytest.raises(InputError, match=f"journal.jsonl:1: .*other settings: {message}"):
        search(path, resume=True, **change)


def test_where_candidates_are_trained_may_change(whole, tmp_path):
    result, lines, broken = whole
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(lines[:7]))
    elsewhere = CONFIG.replace(
        executor=ExecutorKind.PROCESS, workers=4, candidate_checkpoints=CandidateCheckpoints.NONE
    )
    fitness = Landscape(TARGET, broken=broken)
    assert search(path, resume=True, config=elsewhere, fitness=fitness) == result


def test_a_journal_that_does_not_replay_is_told(whole, tmp_path):
    _, lines, broken = whole
    event = json.loads(lines[5])
    assert event["event"] == "generation"
    edited = json.dumps(event | {"generator": "0" * 16}).encode() + b"\n"
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join([*lines[:5], edited, *lines[6:]]))
    with pytest.raises(InputError, match=r"journal.jsonl:6: replaying generation 0 gives another result"):
        search(path, resume=True, fitness=Landscape(TARGET, broken=broken))


def test_two_searches_cannot_use_one_journal(tmp_path):
    path = tmp_path / "journal.jsonl"
    first = Journal(path, resume=False, identity={})
    first.begin({})
    with pytest.raises(OperationalError, match="another search is using this journal"):
        Journal(path, resume=True, identity={}).begin({})
    first.close()
    Journal(path, resume=True, identity={}).begin({})


def test_each_line_is_on_disk_before_the_search_goes_on(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    path = tmp_path / "journal.jsonl"
    search(path)
    ends, position = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        position += len(line)
        ends.append(position)
    assert synced == ends


def test_an_interrupted_search_with_a_store_counts_as_an_unbroken_one(tmp_path):
    def run(name, resume=False, interrupt_after=None):
        fitness = Landscape(TARGET)

        def interrupted(task):
            if interrupt_after is not None and len(fitness.calls) == interrupt_after:
                raise KeyboardInterrupt
            return fitness(task)

        store = EvaluationStore(tmp_path / f"{name}-store", IDENTITY)
        path = tmp_path / f"{name}.jsonl"
        return search(path, resume=resume, fitness=interrupted, store=store)

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("broken", interrupt_after=6)
    assert run("broken", resume=True) == whole
    assert (tmp_path / "broken.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


METRICS = st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@given(METRICS, st.integers(0, 2**63), st.sampled_from(["epochs", "steps"]), st.none() | st.text())
def test_evaluations_survive_json(metrics, seed, unit, reason):
    before = evaluation(
        HAND,
        0,
        metrics=metrics,
        seed=seed,
        budget=Budget(3, unit),
        status=EvaluationStatus.DONE if reason is None else EvaluationStatus.FAILED,
        reason=reason,
        checkpoint=Path("a/b.safetensors"),
    )
    assert evaluation_from_json(json.loads(json.dumps(evaluation_to_json(before)))) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("structure", [[0]]),
        ("structure", [[1.0]]),
        ("structure", 3),
        ("budget", {"amount": 1.5, "unit": "steps"}),
        ("budget", {"amount": 1, "unit": "hours"}),
        ("budget", None),
        ("seed", True),
        ("metrics", [1]),
        ("metrics", {"f1": "high"}),
        ("metrics", {"f1": float("nan")}),
        ("seconds", None),
        ("status", "perhaps"),
        ("checkpoint", 3),
    ],
)
def test_a_value_that_is_no_evaluation_is_a_value_error(field, value):
    with pytest.raises(ValueError):  # noqa: PT011
        evaluation_from_json(evaluation_to_json(evaluation(HAND, 5.0)) | {field: value})


ONE = DilationStructure(((1, 2), (4,)))
TASK = EvaluationTask(ONE, BUDGET, 0)


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
