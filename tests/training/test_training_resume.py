from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from g2l.config import Budget, LocalSearchConfig, Selection
from g2l.errors import InputError, OperationalError
from g2l.receptive_field import SearchSchedule
from g2l.search.local_search import LocalSearch, give_branches
from g2l.training.loop import adam
from tests.training.tiny_training import RECIPE, STEPS_PER_EPOCH, Recorder, tiny_fit, tiny_model


class InterruptedTrainingError(Exception):
    pass


def without_seconds(result):
    return [(r.epoch, r.step, r.loss, r.learning_rate, r.metrics) for r in result.history]


def assert_same(one, other):
    (model, result), (other_model, other_result) = one, other
    assert without_seconds(result) == without_seconds(other_result)
    assert (result.best_epoch, result.metrics, result.steps, result.epochs) == (
        other_result.best_epoch,
        other_result.metrics,
        other_result.steps,
        other_result.epochs,
    )
    weights, others = model.state_dict(), other_model.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def interrupt_at(event):
    def act(now, state):
        if now == event:
            raise InterruptedTrainingError

    return Recorder(act)


@pytest.mark.parametrize("event", [("step", 2), ("step", 5), ("epoch", 3), ("step", 12)])
def test_resume_equals_an_uninterrupted_training(tmp_path, event):
    path = tmp_path / "last.ckpt"
    uninterrupted = Recorder()
    expected = tiny_fit(callbacks=[uninterrupted])
    with pytest.raises(InterruptedTrainingError):
        tiny_fit(callbacks=[interrupt_at(event)], checkpoint=path)
    resumed = Recorder()
    # Another initialisation: all must come from the file, if there is one.
    model = tiny_model(seed=7) if path.exists() else None
    assert_same(tiny_fit(model, callbacks=[resumed], checkpoint=path, resume=True), expected)
    assert resumed.calls == uninterrupted.calls


def test_resume_after_kill_9(tmp_path):
    points = ("step", "write")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.training.tiny_training"]
    killed = [subprocess.Popen([*command, str(tmp_path / point), point], cwd=root) for point in points]
    assert [process.wait(timeout=120) for process in killed] == [-signal.SIGKILL] * 2
    assert list((tmp_path / "write").glob(".last.ckpt.*.tmp"))
    expected = tiny_fit(callbacks=[Recorder()])
    for point in points:
        path = tmp_path / point / "last.ckpt"
        assert torch.load(path, weights_only=True)["epoch"] == 2
        assert_same(tiny_fit(callbacks=[Recorder()], checkpoint=path, resume=True), expected)
        assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_finished_training_returns_at_once(tmp_path):
    path = tmp_path / "last.ckpt"
    finished = tiny_fit(checkpoint=path)
    resumed = tiny_fit(tiny_model(seed=3), checkpoint=path, resume=True, evaluate=None)
    assert_same(resumed, finished)
    assert resumed[1].history == finished[1].history  # seconds, too


@pytest.mark.parametrize("steps", [(3,), (1, 2, 6, 7)])
def test_a_larger_budget_of_steps_goes_on_from_a_smaller_one(tmp_path, steps):
    path = tmp_path / "last.ckpt"
    optimizers = []
    for amount in (*steps, 8):
        model = tiny_model(seed=amount)
        optimizers.append(adam(model, RECIPE))
        continued = tiny_fit(
            model if path.exists() else tiny_model(),
            optimizer=optimizers[-1] if path.exists() else None,
            checkpoint=path,
            budget=Budget(amount, "steps"),
            resume=True,
        )
    model = tiny_model()
    optimizer = adam(model, RECIPE)
    expected = tiny_fit(model, optimizer=optimizer, budget=Budget(8, "steps"))
    assert continued[1].metrics == expected[1].metrics
    assert [record.loss for record in continued[1].history] == [r.loss for r in expected[1].history]
    assert [record.step for record in continued[1].history] == [3, 6, 8]
    assert all(map(torch.equal, continued[0].state_dict().values(), expected[0].state_dict().values()))
    moments = [
        [state[name] for state in one.state_dict()["state"].values() for name in ("exp_avg", "exp_avg_sq")]
        for one in (optimizers[-1], optimizer)
    ]
    assert all(map(torch.equal, *moments))


def test_a_smaller_budget_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    tiny_fit(checkpoint=path, budget=Budget(5, "steps"))
    with pytest.raises(InputError, match=r"must end at step 5 or later, .* but ends at step 4 instead\."):
        tiny_fit(checkpoint=path, budget=Budget(4, "steps"), resume=True)


def test_a_budget_that_ends_where_a_killed_training_was_saved_is_scored(tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(InterruptedTrainingError):
        tiny_fit(callbacks=[interrupt_at(("step", 5))], checkpoint=path, budget=Budget(6, "steps"))
    budget = Budget(STEPS_PER_EPOCH, "steps")
    resumed = tiny_fit(callbacks=[Recorder()], checkpoint=path, budget=budget, resume=True)
    assert_same(resumed, tiny_fit(callbacks=[Recorder()], budget=budget))
    assert resumed[1].metrics


def test_without_resume_a_training_starts_anew(tmp_path):
    path = tmp_path / "last.ckpt"
    tiny_fit(recipe=RECIPE.replace(epochs=2), checkpoint=path)
    _, result = tiny_fit(checkpoint=path)
    assert result.epochs == len(result.history) == 4


@pytest.mark.parametrize("interval", [Budget(1, "epochs"), Budget(2, "steps")])
@pytest.mark.parametrize("step", [5, 8])
def test_a_local_search_resumes_in_the_middle(tmp_path, interval, step):
    def searched(*callbacks, **options):
        model = tiny_model(rates=((2, 8), (1, 16)))
        groups = give_branches(
            model, LocalSearchConfig(), longest_video=30, learning_rate=RECIPE.learning_rate
        )
        optimizer = torch.optim.Adam(groups)
        schedule = SearchSchedule(model, optimizer, interval=interval.amount, updates=3)
        search = LocalSearch(schedule, interval.unit)
        recipe = RECIPE.replace(selection=Selection.LAST)
        trained = tiny_fit(model, recipe, optimizer=optimizer, callbacks=[search, *callbacks], **options)
        return trained, search.history

    path = tmp_path / "last.ckpt"
    with pytest.raises(InterruptedTrainingError):
        searched(interrupt_at(("step", step)), checkpoint=path)
    resumed, history = searched(Recorder(), checkpoint=path, resume=True)
    expected, expected_history = searched(Recorder())
    assert history == expected_history
    assert len(history) == 3
    assert_same(resumed, expected)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("learning_rate", {"recipe": RECIPE.replace(learning_rate=1e-3)}),
        ("budget", {"budget": Budget(5, "epochs")}),
        ("seed", {"seed": 1}),
        ("model", {"model": tiny_model(rates=((1, 2), (1, 4)))}),
        ("callbacks", {"callbacks": [Recorder()]}),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, field, options):
    path = tmp_path / "last.ckpt"
    tiny_fit(checkpoint=path, budget=Budget(1, "epochs"))
    options = {"budget": Budget(1, "epochs")} | options
    with pytest.raises(
        InputError, match=rf"last\.ckpt: `{field}` must be .* as in the checkpoint, but is .* instead\."
    ):
        tiny_fit(checkpoint=path, resume=True, **options)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_torn_checkpoint_is_an_input_error(tmp_path, share):
    path = tmp_path / "last.ckpt"
    tiny_fit(checkpoint=path, budget=Budget(1, "steps"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"last\.ckpt: cannot be read as a training checkpoint") as caught:
        tiny_fit(checkpoint=path, budget=Budget(1, "steps"), resume=True)
    assert "delete it" in caught.value.hint


@pytest.mark.parametrize("value", [{"schema": "g2l.training/2", "epoch": 3}, [1, 2]])  # 0.1.0 wrote the first
def test_a_foreign_file_is_an_input_error(tmp_path, value):
    path = tmp_path / "last.ckpt"
    torch.save(value, path)
    with pytest.raises(
        InputError, match=r"expected a training checkpoint of schema g2l\.training/3"
    ) as caught:
        tiny_fit(checkpoint=path, resume=True)
    assert "another version" in caught.value.hint


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"schema": "g2l.training/3", "identity": Path("x")}, path)
    with pytest.raises(InputError, match="cannot be read as a training checkpoint"):
        tiny_fit(checkpoint=path, resume=True)


@pytest.fixture
def cramped():
    """No file may grow beyond half a kilobyte: torch and safetensors meet a real error of the system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path, cramped):
    with pytest.raises(OperationalError, match=r"last\.ckpt: cannot write \(File too large\)"):
        tiny_fit(checkpoint=tmp_path / "last.ckpt", budget=Budget(1, "steps"))
    assert list(tmp_path.iterdir()) == []
