"""The careful search, killed (−9) at random moments wherever candidates are trained: the same bits."""

from __future__ import annotations

import random
import time
from importlib.util import find_spec

import pytest

from benchmarks.careful_search import differences, outcome
from benchmarks.kills import Killer, Victim
from g2l.config import ExecutorKind
from g2l.pipeline.candidates import TRAININGS

SERIAL, PROCESS, RAY = ExecutorKind.SERIAL, ExecutorKind.PROCESS, ExecutorKind.RAY
RESULTS = ("structure.json", "result.json", "final-")


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", "")
        yield Killer(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def unbroken(killer):
    """What a serial search leaves that nobody disturbs, and how many seconds it took."""
    return killer.unbroken(SERIAL)


@pytest.mark.parametrize(
    ("executor", "victims"),
    [
        (SERIAL, [Victim.EVERYTHING] * 4),
        (PROCESS, [Victim.WORKER, Victim.MAIN, Victim.EVERYTHING]),
        pytest.param(
            RAY,
            [Victim.MAIN, Victim.WORKER],
            marks=pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
        ),
    ],
)
def test_killed_over_and_over(killer, unbroken, tmp_path, executor, victims):
    expected, seconds = unbroken
    moments = random.Random(3)
    for victim in victims:
        killed = killer.kill(tmp_path, executor, victim, moments.uniform(0, seconds / 2))
        assert killed is None or not killed.differing
    killer.finish(tmp_path, executor)
    assert differences(outcome(tmp_path), expected) == []


def test_damaged_checkpoints_are_trained_again(killer, unbroken, tmp_path):
    expected, seconds = unbroken
    killer.kill(tmp_path, SERIAL, Victim.EVERYTHING, 0.7 * seconds)
    for number, path in enumerate(sorted(tmp_path.glob(f"{TRAININGS}/*/last.ckpt"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content[: len(content) // (1 + number % 3)])
    kept = sorted(tmp_path.rglob("*.safetensors"))
    for path in kept:
        path.unlink()
    killer.finish(tmp_path, SERIAL)
    # Weights are kept for the user: a search that has scored them does not need them any more.
    lost = {str(path.relative_to(tmp_path)) for path in kept}
    assert set(differences(outcome(tmp_path), expected)) <= lost


def test_two_searches_at_a_time_share_their_evaluations(killer, unbroken, tmp_path):
    expected, _ = unbroken
    folders = [tmp_path / "one", tmp_path / "other"]
    first = killer.start(folders[0], SERIAL, tmp_path / "evaluations")
    while first.is_alive() and not list((tmp_path / "evaluations").rglob("*.json")):
        time.sleep(0.01)  # two that start together may never meet
    for search in (first, killer.start(folders[1], SERIAL, tmp_path / "evaluations")):
        killer.wait(search)
    shared = 0
    for folder in folders:
        found = outcome(folder)
        assert [name for name in differences(found, expected) if name.startswith(RESULTS)] == []
        shared += sum('"cached": true' in line for line in found["journal.jsonl"])
    assert shared
    assert not list((tmp_path / "evaluations").rglob("*.tmp"))
