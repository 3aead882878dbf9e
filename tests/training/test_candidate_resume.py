from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from g2l.config import Budget, RecipeConfig
from g2l.errors import OperationalError
from g2l.evaluation import EvaluationTask
from g2l.training import candidate as candidate_module
from g2l.training.loop import Training
from tests.training.tiny_fitness import LARGE, evaluate


def steps(amount):
    return Budget(amount, "steps")


@pytest.fixture
def keeping(fitness, tmp_path):
    """A fitness that keeps models and trainings."""
    return replace(fitness, checkpoint_folder=tmp_path / "candidates", training_folder=tmp_path / "trainings")


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
    assert (one.task, one.metrics, one.curve) == (other.task, other.metrics, other.curve)
    weights, others = load_file(one.checkpoint), load_file(other.checkpoint)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def anew(keeping, tmp_path, *call):
    """Return the evaluation by a fitness that has nothing to go on from."""
    alone = replace(keeping, training_folder=None, checkpoint_folder=tmp_path / "alone")
    return evaluate(alone, *call)


@pytest.mark.parametrize("unit", ["steps", "epochs"])
@pytest.mark.parametrize("holdouts", [(0,), (1, 2)])
def test_a_larger_budget_goes_on_from_a_smaller_one(keeping, tmp_path, taken, unit, holdouts):
    for amount in (2, 3, 5):
        continued = evaluate(keeping, LARGE, Budget(amount, unit), 1, holdouts)
        assert_same(continued, anew(keeping, tmp_path, LARGE, Budget(amount, unit), 1, holdouts))
    assert len(continued.curve.get("accuracy", ())) == (5 if unit == "epochs" else 0)
    once = 5 * (1 if unit == "steps" else taken[0] // 2)
    assert sum(taken) == len(holdouts) * once * (1 + (2 + 3 + 5) / 5)


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


def test_a_loss_that_diverges_is_told(fitness):
    wild = replace(fitness, recipe=fitness.recipe.replace(learning_rate=1e30))
    with pytest.raises(OperationalError, match="the loss must be finite"):
        evaluate(wild, LARGE, steps(8), 1)
