from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from search_landscapes import BUDGET, Landscape, Scripted, Unstartable, scored

from g2l.errors import OperationalError
from g2l.evaluation import EvaluationStatus, EvaluationTask
from g2l.machine import usable_cores
from g2l.search.executors.base import LONGEST_REASON, WORKER_DIED, SerialExecutor, attempt, describe, failed
from g2l.search.executors.process import ProcessExecutor
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology

SPACE = SearchSpace(LayerTopology(), (3,), (1, 2, 4, 8))
TARGET = SPACE.from_rates([8, 1, 4])
PATIENCE = 300
"""Seconds after which something will not happen any more, on a machine with other work to do."""
TASKS = [EvaluationTask(SPACE.from_rates([rate, 2, 4]), BUDGET, 5, (1, 2)) for rate in (1, 2, 4, 8)]


def run(executor, tasks):
    """Submit all tasks and return the evaluations as they come."""
    for task in tasks:
        executor.submit(task)
    return executor.results()


def test_serial_evaluates_lazily_and_in_order():
    fitness = Landscape(TARGET)
    with SerialExecutor(fitness) as executor:
        assert executor.slots == 1
        evaluations = run(executor, TASKS)
        assert next(evaluations).task == TASKS[0]
        assert len(fitness.calls) == 1
        assert [evaluation.task for evaluation in evaluations] == TASKS[1:]
        assert list(executor.results()) == []


def test_a_failure_is_tried_once_more():
    fitness = Landscape(TARGET)
    outcomes = [OSError(28, "No space left on device")]

    def flaky(task):
        if outcomes:
            raise outcomes.pop()
        return fitness(task)

    evaluation = attempt(flaky, TASKS[0])
    assert evaluation.status is EvaluationStatus.DONE


def test_two_failures_are_a_failed_candidate_with_the_reason():
    fitness = Landscape(TARGET, broken=frozenset(["1,2,4"]))
    failure = attempt(fitness, TASKS[0])
    assert fitness.calls == ["1,2,4", "1,2,4"]
    assert failure == failed(TASKS[0], "RuntimeError: no memory for 1,2,4")
    assert failure.status is EvaluationStatus.FAILED
    assert failure.task == TASKS[0]


def test_an_interruption_is_no_failure():
    def fitness(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(fitness, TASKS[0])


def test_an_evaluation_of_another_task_is_a_failure():
    reason = "ValueError: the fitness returned the evaluation of another task"
    for other in (TASKS[3], replace(TASKS[0], holdouts=(0,))):
        assert attempt(lambda _, other=other: scored(other, TARGET), TASKS[0]) == failed(TASKS[0], reason)


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


def test_processes_give_the_evaluations_of_the_serial_executor_though_workers_die(tmp_path):
    """One worker is killed once, another candidate kills its worker whenever it runs."""
    (tmp_path / f"kill-{TASKS[0].structure}").touch()
    (tmp_path / f"always-{TASKS[2].structure}").touch()
    with ProcessExecutor(Scripted(TARGET, tmp_path), workers=2) as executor:
        found = {evaluation.task: evaluation for evaluation in run(executor, TASKS)}
    threads = max(1, usable_cores() // 2)
    expected = {task: scored(task, TARGET, threads=threads) for task in TASKS}
    expected[TASKS[2]] = failed(TASKS[2], WORKER_DIED)
    assert found == expected
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_what_runs_beside_a_worker_that_dies_is_not_run_again(tmp_path):
    (tmp_path / f"kill-{TASKS[0].structure}").touch()
    with ProcessExecutor(Scripted(TARGET, tmp_path, seconds=0.2), workers=2) as executor:
        found = list(run(executor, TASKS))
    assert sorted((evaluation.task for evaluation in found), key=TASKS.index) == TASKS
    assert {evaluation.status for evaluation in found} == {EvaluationStatus.DONE}
    assert [len((tmp_path / f"runs-{task.structure}").read_text()) for task in TASKS] == [2, 1, 1, 1]


def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced(tmp_path):
    with ProcessExecutor(Scripted(TARGET, tmp_path), workers=1) as executor:
        assert [evaluation.task for evaluation in run(executor, TASKS[:1])] == TASKS[:1]
        (worker,) = pids(tmp_path)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not alive(worker))
        time.sleep(0.5)  # until its pool has noticed; Python 3.11 loses what is handed over in that moment
        found = list(run(executor, TASKS[1:]))
    assert [(evaluation.task, evaluation.status) for evaluation in found] == [
        (task, EvaluationStatus.DONE) for task in TASKS[1:]
    ]


def test_an_abandoned_evaluation_leaves_no_process(tmp_path):
    (tmp_path / "sleep-1,2,4").touch()
    with ProcessExecutor(Scripted(TARGET, tmp_path), workers=2) as executor:
        evaluations = run(executor, TASKS[:2])
        assert next(evaluations).task == TASKS[1]
        wait_for(lambda: len(pids(tmp_path)) == 2)
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_workers_that_cannot_start_fail_their_candidates(tmp_path):
    with ProcessExecutor(Unstartable(), workers=2) as executor:
        evaluations = list(run(executor, TASKS[:3]))
    assert {evaluation.task for evaluation in evaluations} == set(TASKS[:3])
    assert {evaluation.status for evaluation in evaluations} == {EvaluationStatus.FAILED}


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from search_landscapes import BUDGET, Scripted
from g2l.evaluation import EvaluationTask
from g2l.search.executors.process import ProcessExecutor
from g2l.structure import DilationStructure

if __name__ == "__main__":
    structures = [DilationStructure(((rate,),)) for rate in (1, 2)]
    with ProcessExecutor(Scripted(structures[0], Path({folder!r})), workers=2) as executor:
        for structure in structures:
            executor.submit(EvaluationTask(structure, BUDGET, 0))
        list(executor.results())
"""


@pytest.mark.timeout(3 * PATIENCE)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, sent):
    for rate in (1, 2):
        (tmp_path / f"sleep-{rate}").touch()
    here = Path(__file__).parent
    script, said = tmp_path / "script.py", tmp_path / "stderr.txt"
    script.write_text(SCRIPT.format(paths=[str(here), str(here.parents[1])], folder=str(tmp_path)))
    # Not a pipe, which would be open as long as a worker is.
    with said.open("w") as errors:
        parent = subprocess.Popen([sys.executable, str(script)], stderr=errors, start_new_session=True)
    try:
        wait_for(lambda: len(pids(tmp_path)) == 2 or parent.poll() is not None)
        assert parent.poll() is None, said.read_text()
        if sent is signal.SIGINT:
            os.killpg(parent.pid, sent)  # as a terminal does: the workers get it too
        else:
            parent.send_signal(sent)
        assert parent.wait(timeout=PATIENCE) == -sent
        wait_for(lambda: not any(alive(pid) for pid in pids(tmp_path)))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
    assert ("KeyboardInterrupt" in said.read_text()) == (sent is signal.SIGINT)
    assert "SpawnProcess" not in said.read_text()  # the workers do not say anything


def pids(folder):
    return [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


BLOCKED = """
import os, signal, threading, time
from multiprocessing import resource_tracker
from g2l.search.executors.process import block_signals

threading.Thread(target=threading.Event().wait, daemon=True).start()  # takes the signal instead of us
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append("heard"))
with block_signals():
    resource_tracker.ensure_running()  # as the start of a worker does
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)  # until the other thread has taken it
    print(heard)
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()), heard)
"""


def test_no_worker_hears_ctrl_c_while_it_starts_and_nothing_breaks_its_start_off():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["True", "[]", "False ['heard']"], done.stderr
