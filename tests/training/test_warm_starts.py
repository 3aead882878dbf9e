from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from g2l.config import RecipeConfig
from g2l.errors import InputError, OperationalError
from g2l.evaluation import Budget, EvaluationTask, TrainingSegment
from g2l.training import candidate as candidate_module
from g2l.training.loop import Training
from tests.training.tiny_fitness import LARGE, SMALL, evaluate


def steps(amount):
    return Budget(amount, "steps")


INHERITED = (TrainingSegment(4, SMALL),)
ONE_SHOT = (TrainingSegment(5, rates=(1, 2, 4, 8)),)
MIXED = (TrainingSegment(2, rates=(1, 2)), TrainingSegment(4, SMALL))


@pytest.fixture
def keeping(fitness, tmp_path):
    """A fitness that keeps models and trainings."""
    return replace(
        fitness,
        checkpoint_folder=tmp_path / "candidates",
        training_folder=tmp_path / "trainings",
    )


@pytest.fixture
def taken(monkeypatch):
    """The number of steps of each training."""
    counts = []
    advance = Training.advance

    def counted(training, last_step, **options):
        before = training.state.step
        advance(training, last_step, **options)
        counts.append(training.state.step - before)

    monkeypatch.setattr(Training, "advance", counted)
    return counts


def assert_same(one, other):
    assert (one.task, one.metrics) == (other.task, other.metrics)
    assert (one.checkpoint is None) == (other.checkpoint is None) == one.task.shares_weights
    if one.checkpoint is None:
        return
    weights, others = load_file(one.checkpoint), load_file(other.checkpoint)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def anew(keeping, tmp_path, *call):
    """Return the evaluation by a fitness that has nothing to go on from."""
    alone = replace(keeping, training_folder=None, checkpoint_folder=tmp_path / "alone")
    return evaluate(alone, *call)


@pytest.mark.parametrize("history", [(), INHERITED, ONE_SHOT, MIXED])
def test_a_larger_budget_goes_on_from_a_smaller_one(keeping, tmp_path, taken, history):
    for amount in (5, 7, 11):
        continued = evaluate(keeping, LARGE, steps(amount), 1, history)
        expected = anew(keeping, tmp_path, LARGE, steps(amount), 1, history)
        assert_same(continued, expected)
    assert sum(taken) == 11 + (5 + 7 + 11)


@pytest.mark.parametrize("amount", [4, 9])
def test_an_heir_goes_on_from_its_parent(keeping, tmp_path, taken, amount):
    evaluate(keeping, SMALL, steps(4), 1)
    taken.clear()
    heir = evaluate(keeping, LARGE, steps(amount), 1, INHERITED)
    assert sum(taken) == amount - 4
    assert_same(heir, anew(keeping, tmp_path, LARGE, steps(amount), 1, INHERITED))
    assert heir.metrics != anew(keeping, tmp_path, LARGE, steps(amount), 1).metrics


def test_a_parent_that_is_not_there_is_trained_and_left_for_others(keeping, tmp_path, taken):
    evaluate(keeping, LARGE, steps(7), 1, INHERITED)
    taken.clear()
    parent = evaluate(keeping, SMALL, steps(4), 1)
    assert sum(taken) == 0
    assert_same(parent, anew(keeping, tmp_path, SMALL, steps(4), 1))
    taken.clear()
    evaluate(keeping, SMALL, steps(6), 1)
    evaluate(keeping, LARGE, steps(5), 1, (TrainingSegment(4, SMALL), TrainingSegment(5, LARGE)))
    assert taken == [2, 4, 1]  # the parent is beyond the birth of the heir now


def test_a_parent_that_has_gone_on_is_neither_used_nor_overwritten(keeping, tmp_path, taken):
    evaluate(keeping, SMALL, steps(8), 1)
    heir = evaluate(keeping, LARGE, steps(6), 1, INHERITED)
    assert_same(heir, anew(keeping, tmp_path, LARGE, steps(6), 1, INHERITED))
    taken.clear()
    evaluate(keeping, SMALL, steps(9), 1)
    assert taken == [1]


def test_a_smaller_budget_starts_anew_and_leaves_the_larger_one_alone(keeping, tmp_path, taken):
    evaluate(keeping, LARGE, steps(8), 1)
    assert_same(evaluate(keeping, LARGE, steps(3), 1), anew(keeping, tmp_path, LARGE, steps(3), 1))
    taken.clear()
    evaluate(keeping, LARGE, steps(9), 1)
    assert taken == [1]


@pytest.mark.parametrize("history", [ONE_SHOT, MIXED])
def test_one_super_network_serves_many_candidates(keeping, tmp_path, taken, history):
    until = history[-1].until
    first = evaluate(keeping, LARGE, steps(until), 1, history)
    assert sum(taken) == until
    taken.clear()
    second = evaluate(keeping, SMALL, steps(until), 1, history)
    assert taken == []
    assert first.metrics != second.metrics
    for candidate in (first, second):
        assert_same(candidate, anew(keeping, tmp_path, candidate.structure, steps(until), 1, history))
    assert len(list((tmp_path / "trainings").iterdir())) == len(history)


def test_every_step_of_a_super_network_draws_rates(fitness, monkeypatch):
    seen = []
    advance = Training.advance

    def noting(training, last_step, *, before_step, **options):
        def noted(number):
            before_step(number)
            seen.append(str(training.state.model))

        advance(training, last_step, before_step=before_step and noted, **options)

    monkeypatch.setattr(Training, "advance", noting)
    evaluate(fitness, LARGE, steps(7), 1, ONE_SHOT)
    assert len(seen) == len(set(seen)) == 5


def test_epochs_and_their_steps_are_one_training(keeping, tmp_path, taken):
    by_epochs = evaluate(keeping, LARGE, Budget(2, "epochs"), 1)
    by_steps = evaluate(keeping, LARGE, steps(sum(taken)), 1)
    assert by_epochs.metrics == by_steps.metrics
    assert len(taken) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_checkpoint_is_told_and_replaced(keeping, tmp_path, taken, caplog, damage):
    evaluate(keeping, LARGE, steps(4), 1)
    (path,) = (tmp_path / "trainings").glob("*/last.ckpt")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        middle = len(content) // 2
        for place in range(middle, middle + 256):  # more than the padding between two records
            content[place] ^= 0xFF
    else:
        keeping = replace(keeping, recipe=RecipeConfig(batch_size=2, learning_rate=1e-3))
    path.write_bytes(content)
    taken.clear()
    with caplog.at_level(logging.WARNING, "g2l"):
        again = evaluate(keeping, LARGE, steps(6), 1)
    assert taken == [6]
    assert "last.ckpt" in caplog.text
    assert "trained from the start" in caplog.text
    assert_same(again, anew(keeping, tmp_path, LARGE, steps(6), 1))
    evaluate(keeping, LARGE, steps(7), 1)
    assert taken[-1] == 1


def test_a_disk_that_refuses_costs_no_score(keeping, tmp_path, caplog, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if "last.ckpt" in path.name:
            raise OSError(28, "No space left on device")
        write(path, content)

    expected = anew(keeping, tmp_path, LARGE, steps(4), 1)
    monkeypatch.setattr(Path, "write_bytes", full)
    assert_same(evaluate(keeping, LARGE, steps(4), 1), expected)
    assert "No space left on device" in caplog.text
    assert "cannot be continued later" in caplog.text


def test_a_long_training_is_saved_now_and_then(keeping, tmp_path, taken, monkeypatch):
    monkeypatch.setattr(candidate_module, "SAVE_SECONDS", 0.0)
    expected = anew(keeping, tmp_path, LARGE, steps(8), 1)
    monkeypatch.setattr(candidate_module, "evaluate_model", lambda *_, **__: pytest.fail("not reached"))
    saved = Training.save

    def dying(training, path, identity):
        saved(training, path, identity)
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        evaluate(keeping, LARGE, steps(8), 1)
    monkeypatch.undo()
    done = EvaluationTask(LARGE, steps(8), 1)
    again = keeping(done)
    assert_same(again, expected)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (
            (TrainingSegment(5, SMALL), TrainingSegment(5, LARGE)),
            r"end in 6 … 8, .* but one ends at 5 instead\.",
        ),
        ((TrainingSegment(9, SMALL),), r"end in 1 … 8, .* but one ends at 9 instead\."),
        (
            (TrainingSegment(2, type(SMALL)(((1, 2),))),),
            r"structures of the shape of 1,4/2,8, but holds 1,2 instead\.",
        ),
    ],
)
def test_a_history_that_cannot_be_is_refused(fitness, history, message):
    with pytest.raises(InputError, match=message):
        evaluate(fitness, LARGE, steps(8), 1, history)


def test_a_loss_that_diverges_is_told(fitness):
    wild = replace(fitness, recipe=fitness.recipe.replace(learning_rate=1e30))
    with pytest.raises(OperationalError, match="the loss must be finite"):
        evaluate(wild, LARGE, steps(8), 1)
