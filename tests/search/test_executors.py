from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_landscapes import BUDGET, Landscape, Scripted, Unstartable

from g2l.config import GlobalSearchConfig
from g2l.errors import InputError, OperationalError
from g2l.evaluation import EvaluationStatus
from g2l.search.executors.contract import LONGEST_REASON, EvaluationTask, attempt, describe
from g2l.search.executors.process import ProcessExecutor
from g2l.search.executors.serial import SerialExecutor
from g2l.search.global_search import run_global_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure

SPACE = SearchSpace((3,), (1, 2, 4, 8))
TARGET = SPACE.from_rates([8, 1, 4])
TASKS = [EvaluationTask(SPACE.from_rates([rate, 2, 4]), BUDGET, 5) for rate in (1, 2, 4, 8)]


def test_serial_yields_in_order_as_it_goes():
    fitness = Landscape(TARGET)
    with SerialExecutor(fitness) as executor:
        outcomes = executor.evaluate(TASKS)
        assert next(outcomes).structure == TASKS[0].structure
        assert len(fitness.calls) == 1
        assert [outcome.structure for outcome in outcomes] == [task.structure for task in TASKS[1:]]


def test_a_failure_is_tried_once_more():
    fitness = Landscape(TARGET)
    outcomes = [OSError(28, "No space left on device")]

    def flaky(structure, budget, seed):
        if outcomes:
            raise outcomes.pop()
        return fitness(structure, budget, seed)

    assert attempt(flaky, TASKS[0]).status is EvaluationStatus.DONE


def test_two_failures_are_a_failed_candidate_with_the_reason():
    fitness = Landscape(TARGET, broken=frozenset(["1,2,4"]))
    failure = attempt(fitness, TASKS[0])
    assert fitness.calls == ["1,2,4", "1,2,4"]
    assert failure.status is EvaluationStatus.FAILED
    assert failure.reason == "RuntimeError: no memory for 1,2,4"
    assert (failure.structure, failure.budget, failure.seed) == (TASKS[0].structure, BUDGET, 5)


def test_an_interruption_is_no_failure():
    def fitness(structure, budget, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(fitness, TASKS[0])


def test_an_evaluation_of_another_task_is_a_failure():
    def fitness(structure, budget, seed):
        return Landscape(TARGET)(TASKS[1].structure, budget, seed)

    assert (
        attempt(fitness, TASKS[0]).reason == "ValueError: the fitness returned the evaluation of another task"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OperationalError("the loss is nan.", hint="x"), "the loss is nan."),
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(), "ValueError: no message"),
        (ValueError("\n\n first \nsecond"), "ValueError: first"),
        (ValueError("x" * 9999), "ValueError: " + "x" * LONGEST_REASON),
    ],
)
def test_reasons_are_one_line(error, line):
    assert describe(error) == line


def test_processes_need_a_worker():
    with pytest.raises(InputError, match="`workers` must be >= 1, but is 0 instead"):
        ProcessExecutor(Landscape(TARGET), workers=0)


def test_processes_give_the_result_of_the_serial_executor_though_workers_die(tmp_path):
    """One worker is killed once, another candidate kills its worker whenever it runs."""
    config = GlobalSearchConfig(population=4, generations=2, budget=BUDGET)
    hand = DilationStructure(((1, 2, 4),))
    clean = Landscape(TARGET)
    run_global_search(SPACE, config, SerialExecutor(clean), seed=0, hand_designed=hand)
    once, always = clean.calls[1], clean.calls[2]
    serial = Landscape(TARGET, broken=frozenset([always]))
    expected = run_global_search(SPACE, config, SerialExecutor(serial), seed=0, hand_designed=hand)

    (tmp_path / f"kill-{once}").touch()
    (tmp_path / f"always-{always}").touch()
    with ProcessExecutor(Scripted(TARGET, tmp_path), workers=2) as executor:
        found = run_global_search(SPACE, config, executor, seed=0, hand_designed=hand)
    assert not (tmp_path / f"kill-{once}").exists()
    assert outline(found) == outline(expected)
    reasons = {e.structure.key: e.reason for e in found.population if e.reason}
    assert set(reasons.values()) <= {"its worker process died twice (killed, or out of memory)"}
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert found.best.metrics["threads"] == share
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_an_abandoned_evaluation_leaves_no_process(tmp_path):
    (tmp_path / "sleep-1,2,4").touch()
    with ProcessExecutor(Scripted(TARGET, tmp_path), workers=2) as executor:
        outcomes = executor.evaluate(TASKS[:2])
        assert next(outcomes).structure == TASKS[1].structure
        wait_for(lambda: len(pids(tmp_path)) == 2)
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_workers_that_cannot_start_fail_their_candidates(tmp_path):
    with ProcessExecutor(Unstartable(), workers=2) as executor:
        outcomes = list(executor.evaluate(TASKS[:3]))
    assert {outcome.structure for outcome in outcomes} == {task.structure for task in TASKS[:3]}
    assert {outcome.status for outcome in outcomes} == {EvaluationStatus.FAILED}


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from search_landscapes import Scripted
from test_executors import TARGET, TASKS
from g2l.search.executors.process import ProcessExecutor

if __name__ == "__main__":
    with ProcessExecutor(Scripted(TARGET, Path({folder!r})), workers=2) as executor:
        list(executor.evaluate(TASKS))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, sent):
    for task in TASKS:
        (tmp_path / f"sleep-{task.structure}").touch()
    here = Path(__file__).parent
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(paths=[str(here), str(here.parents[1])], folder=str(tmp_path)))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_for(lambda: len(pids(tmp_path)) == 2)
        if sent is signal.SIGINT:
            os.killpg(parent.pid, sent)  # as a terminal does: the workers get it too
        else:
            parent.send_signal(sent)
        _, errors = parent.communicate(timeout=120)
    finally:
        parent.kill()
    assert parent.returncode == -sent
    assert ("KeyboardInterrupt" in errors) == (sent is signal.SIGINT)
    assert "SpawnProcess" not in errors  # the workers do not say anything
    wait_for(lambda: not any(alive(pid) for pid in pids(tmp_path)))


def outline(result):
    return [
        [(member.structure, member.fitness, member.order) for member in summary.population]
        + [summary.evaluations, summary.cache_hits, summary.failures]
        for summary in result.generations
    ]


def pids(folder):
    return [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
