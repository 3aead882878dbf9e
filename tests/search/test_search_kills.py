"""Searches that are killed, or meet a full disk, come to the result of an unbroken one, by every strategy."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
import traceback
from dataclasses import replace

import pytest
from search_landscapes import BUDGET, Landscape
from small_searches import HAND, SPACE, TARGET
from small_shapes import FULL, RATES, RatesToo, curves, shape_space
from small_shapes import HAND as FOUR_BY_TEN

from g2l.config import GlobalSearchConfig, Space, Strategy
from g2l.errors import DiskFullError
from g2l.evaluation import EvaluationTask
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.executors.process import ProcessExecutor
from g2l.search.journal import EvaluationStore, Journal
from g2l.search.loop import run_global_search

IDENTITY = {"data": "f00d"}
CONFIG = GlobalSearchConfig(population=4, generations=3, budget=BUDGET, leaders=2, holdouts=2)
SHAPES = "shapes"
RATES_AFTER = "shapes+rates"
KINDS = (*Strategy, SHAPES, RATES_AFTER)
NOTHING_LEFT = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def search(path, strategy, *, store=None, fitness=None):
    """Start or resume a search of rates by a strategy, or of shapes."""
    if strategy in (SHAPES, RATES_AFTER):
        return search_shapes(path, store, fitness, then_rates=strategy == RATES_AFTER)
    with Journal(path, resume=True, identity=IDENTITY) as journal:
        return run_global_search(
            Search(
                SPACE,
                CONFIG.replace(strategy=strategy, trainings=40.0),
                SerialExecutor(fitness or Landscape(TARGET)),
                seed=3,
                hand_designed=HAND,
                full_steps=4 * BUDGET.amount,
                journal=journal,
                store=None if store is None else EvaluationStore(store, IDENTITY),
            )
        )


def search_shapes(path, store, fitness, *, then_rates):
    space = shape_space(rates=RATES) if then_rates else shape_space()
    config = CONFIG.replace(space=Space.BOTH, trainings=20.0) if then_rates else GlobalSearchConfig()
    usual = RatesToo(32) if then_rates else curves(noise=3.0)
    with Journal(path, resume=True, identity=IDENTITY) as journal:
        return run_global_search(
            Search(
                space,
                config,
                SerialExecutor(fitness or usual),
                seed=3,
                hand_designed=FOUR_BY_TEN,
                full_steps=FULL,
                journal=journal,
                store=None if store is None else EvaluationStore(store, IDENTITY),
            )
        )


def forked(call, kill_at=None):
    """Call in a process of its own that kills itself right before a flush to disk; return its number."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if kill_at is not None:
                _before_flush(kill_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            call()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def _before_flush(number, act):
    flush, flushes = os.fsync, []

    def counted(descriptor):
        flushes.append(descriptor)
        if len(flushes) == number:
            act()
        flush(descriptor)

    os.fsync = counted


def ended(pid):
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """By strategy: the result of an unbroken search and its journal."""
    made = {}

    def of(strategy):
        if strategy not in made:
            path = tmp_path_factory.mktemp("whole") / "journal.jsonl"
            made[strategy] = search(path, strategy), path.read_bytes()
        return made[strategy]

    return of


@pytest.mark.parametrize("strategy", KINDS)
def test_killed_again_and_again(tmp_path, whole, strategy):
    result, content = whole(strategy)
    path, moments = tmp_path / "journal.jsonl", random.Random(7)
    kills = 0
    while ended(
        forked(lambda: search(path, strategy), kill_at=moments.randint(2, 3 if strategy == SHAPES else 7))
    ):
        kills += 1
    assert kills > 2
    assert path.read_bytes() == content
    assert search(path, strategy) == result


@pytest.mark.parametrize("strategy", KINDS)
def test_torn_anywhere(tmp_path, whole, strategy):
    result, content = whole(strategy)
    path, places = tmp_path / "journal.jsonl", random.Random(7)
    for _ in range(6):
        path.write_bytes(content[: places.randrange(len(content))])
        assert search(path, strategy) == result
        assert path.read_bytes() == content


@pytest.mark.parametrize("strategy", [Strategy.GENETIC, SHAPES])
def test_killed_beside_another_search_that_shares_the_store(tmp_path, whole, strategy):
    """Both want the same candidates at the same time: only where they come from differs."""
    expected, _ = whole(strategy)
    paths = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]

    def slow(task):
        time.sleep(0.001)
        fitness = {SHAPES: curves(noise=3.0), RATES_AFTER: RatesToo(32)}
        return fitness.get(strategy, Landscape(TARGET))(task)

    def work(path):
        search(path, strategy, store=tmp_path / "store", fitness=slow)

    for moment in (9, 30, 60, None):
        pids = [forked(lambda path=path: work(path), kill_at=moment) for path in paths]
        codes = [ended(pid) for pid in pids]
        assert set(codes) <= {0, -signal.SIGKILL}
    assert codes == [0, 0]
    for path in paths:
        found = search(path, strategy, store=tmp_path / "store")
        assert scores(found) == scores(expected)
        trained = [line for line in path.read_text().splitlines() if '"cached":false' in line]
        assert found.evaluations == len(trained)


def scores(result):
    """Return a result less the counts of what was trained here and what elsewhere."""
    counts = {"evaluations": 0, "cache_hits": 0}
    generations = tuple(replace(summary, **counts) for summary in result.generations)
    return replace(result, generations=generations, **counts)


@pytest.mark.parametrize(("call", "moment"), [("write", 2), ("fsync", 9)])
def test_a_full_disk_ends_a_search_that_can_be_resumed(tmp_path, whole, monkeypatch, call, moment):
    result, content = whole(Strategy.GENETIC)
    path, calls = tmp_path / "journal.jsonl", []
    real = getattr(os, call)

    def full(descriptor, *data):
        calls.append(descriptor)
        if len(calls) == moment:
            return real(descriptor, *(part[: len(part) // 2] for part in data))  # as a disk does at its end
        if len(calls) > moment:
            raise NOTHING_LEFT
        return real(descriptor, *data)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(DiskFullError, match=r"journal\.jsonl: cannot write \(No space left on device\)"):
            search(path, Strategy.GENETIC)
    assert search(path, Strategy.GENETIC) == result
    assert path.read_bytes() == content


class Full:
    """A fitness without room for its weights, unless there is room again at the second attempt."""

    def __init__(self, passing=False):
        self.passing, self.calls = passing, 0

    def __call__(self, task):
        self.calls += 1
        if self.passing and self.calls > 1:
            return Landscape(TARGET)(task)
        raise DiskFullError("model.safetensors: cannot write (No space left on device).")


def test_a_candidate_without_room_has_not_failed(tmp_path, whole):
    result, content = whole(Strategy.RANDOM)
    path = tmp_path / "journal.jsonl"
    with pytest.raises(DiskFullError):
        search(path, Strategy.RANDOM, fitness=Full())
    assert path.read_bytes().count(b"\n") == 1
    assert search(path, Strategy.RANDOM, fitness=Full(passing=True)) == result
    assert path.read_bytes() == content


def test_processes_hand_on_that_the_disk_is_full():
    task = EvaluationTask(HAND, BUDGET, 0)
    with ProcessExecutor(Full(), workers=1) as executor:
        executor.submit(task)
        with pytest.raises(DiskFullError, match="No space left"):
            list(executor.results())
