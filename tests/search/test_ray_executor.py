from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from search_landscapes import BUDGET, Landscape, Scripted, scored
from small_shapes import curves
from test_executors import TARGET, TASKS, alive, pids, run, wait_for
from test_search_kills import Full
from test_shapes import search

from g2l.errors import DiskFullError, InputError
from g2l.evaluation import EvaluationTask
from g2l.search.executors import ray as ray_executor
from g2l.search.executors.base import WORKER_DIED, SerialExecutor, failed
from g2l.search.executors.ray import ENVIRONMENT, RayExecutor, count_slots
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology

if find_spec("ray") is None:  # not imported: the executor first sets what Ray reads while it is imported
    pytest.skip("Ray is not installed", allow_module_level=True)

HERE = Path(__file__).parent
SPACE = SearchSpace(LayerTopology(), (3,), (1, 2, 4, 8))
MANY = [
    EvaluationTask(SPACE.from_rates([first, second, 4]), BUDGET, seed)
    for seed in range(5)
    for first in (1, 2, 4, 8)
    for second in (1, 8)
]
TINY = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Processes of Ray find this package and the fitnesses of the tests, and Ray keeps quiet."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # read when Ray is imported


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": {name: float(value) for name, value in resources.items()}}


@pytest.mark.parametrize(
    ("nodes", "gpus", "slots"),
    [
        ([], 0, 0),
        ([node(CPU=4), node(CPU=2), node(alive=False, CPU=8), node(memory=1)], 0, 6),
        ([node(CPU=4), node(CPU=16, GPU=2)], 0.25, 8),
        ([node(CPU=16, GPU=1)], 0.1, 10),
        ([node(CPU=16, GPU=1)], 0.3, 3),
        ([node(CPU=3, GPU=2)], 0.25, 3),
        ([node(CPU=16, GPU=5)], 2, 2),
        ([node(CPU=16, GPU=5)], 1, 5),
    ],
)
def test_a_cluster_has_room_for_as_many_tasks_as_its_machines_can_run(nodes, gpus, slots):
    assert count_slots(nodes, gpus) == slots


def test_wrong_settings_are_input_errors(monkeypatch):
    for workers, address in [(None, None), (2, "auto")]:
        with pytest.raises(InputError, match="give either `workers` of a Ray to start or the `address`"):
            RayExecutor(Landscape(TARGET), workers=workers, address=address)
    with pytest.raises(InputError, match="`workers` must be >= 1, but is 0 instead"):
        RayExecutor(Landscape(TARGET), workers=0)
    with pytest.raises(InputError, match=r"no Ray cluster at 127.0.0.1:9: ConnectionRefusedError"):
        _ = RayExecutor(Landscape(TARGET), address="127.0.0.1:9").slots
    with pytest.raises(InputError, match="no Ray cluster at nowhere: ValueError"):
        _ = RayExecutor(Landscape(TARGET), address="nowhere").slots
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="Ray is not installed") as caught:
        RayExecutor(Landscape(TARGET), workers=1)
    assert caught.value.hint == "pip install 'g2l[ray]'"


def test_a_search_survives_a_machine_that_is_lost(tmp_path, monkeypatch):
    """One raylet of three dies while both of its neighbours and it itself are at work."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the fitness reports, here and on every machine
    fitness = Scripted(TARGET, tmp_path, seconds=0.1)
    with SerialExecutor(fitness) as executor:
        expected = {evaluation.task: evaluation for evaluation in run(executor, MANY)}
    (tmp_path / f"pid-{os.getpid()}").unlink()
    cluster = Cluster(initialize_head=True, head_node_args=TINY)
    try:
        lost = [cluster.add_node(**TINY), cluster.add_node(**TINY)][0]
        with RayExecutor(fitness, address=cluster.address) as executor:
            assert executor.slots == 3
            found = {}
            for evaluation in run(executor, MANY):
                found[evaluation.task] = evaluation
                # When all three have been at work; half of the tasks are for a slow start of the third.
                if lost and len(found) >= (9 if len(pids(tmp_path)) >= 3 else len(MANY) // 2):
                    cluster.remove_node(lost, allow_graceful=False)
                    lost = None
            wait_for(lambda: executor.slots == 2)
    finally:
        cluster.shutdown()
    assert found == expected
    assert not any(alive(pid) for pid in pids(tmp_path))


def test_only_the_candidate_that_kills_its_worker_fails(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(ray_executor, "RETRIES", 1)
    handler = signal.getsignal(signal.SIGTERM)
    (tmp_path / f"kill-{TASKS[0].structure}").touch()
    (tmp_path / f"always-{TASKS[1].structure}").touch()
    with RayExecutor(Scripted(TARGET, tmp_path), workers=2) as executor:
        assert executor.slots == 2
        found = {e.task: e for e in run(executor, TASKS)}
    expected = {task: scored(task, TARGET, threads=1.0) for task in TASKS}
    assert found == expected | {TASKS[1]: failed(TASKS[1], WORKER_DIED)}
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not any(alive(pid) for pid in pids(tmp_path))
    assert capfd.readouterr().out == ""


def test_a_full_disk_on_a_machine_is_handed_on():
    with RayExecutor(Full(), workers=1) as executor, pytest.raises(DiskFullError, match="No space left"):
        list(run(executor, TASKS[:1]))


SCRIPT = """
import sys
from pathlib import Path
from search_landscapes import Scripted
from test_executors import TARGET, TASKS, run
from g2l.search.executors.ray import RayExecutor
from g2l.structure import LayerTopology

with RayExecutor(Scripted(TARGET, Path({folder!r})), workers=2) as executor:
    list(run(executor, TASKS))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT])
def test_ray_ends_with_its_parent(tmp_path, sent):
    for task in TASKS:
        (tmp_path / f"sleep-{task.structure}").touch()
    (tmp_path / f"kill-{TASKS[0].structure}").touch()  # which Ray would report among our results
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(pids(tmp_path)) == 3)
        if sent is signal.SIGINT:
            os.killpg(parent.pid, sent)  # as a terminal does: the processes of Ray get it too
        else:
            parent.send_signal(sent)
        started = time.monotonic()
        output, errors = parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert parent.returncode == -sent
    assert time.monotonic() - started < 30
    assert output == ""
    assert errors.count("Traceback") == (sent is signal.SIGINT)
    wait_for(lambda: not any(alive(pid) for pid in pids(tmp_path)))


def test_shapes_are_searched_on_ray_from_a_long_temporary_folder(tmp_path, monkeypatch):
    """The sockets of Ray must fit 107 characters, which the TMPDIR of a batch job may not leave."""
    long = tmp_path / ("slurm_jobdir_" * 8)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    with RayExecutor(curves(noise=2.0), workers=1) as executor:
        found = search(executor=executor)
    assert found == search(curves(noise=2.0))
    assert found.evaluations > 3
