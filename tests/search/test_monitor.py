"""What observers of a search are told about where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from search_landscapes import BUDGET, Landscape
from small_searches import TARGET, config, search

from g2l.evaluation import Budget
from g2l.search.journal import Journal
from g2l.search.status import SearchPhase
from g2l.search.store import EvaluationStore
from g2l.search_config import Strategy

FULL = 100
CAREFUL = config(
    strategy=Strategy.ONE_SHOT,
    trainings=30.0,
    budget=Budget(25, "steps"),
    leaders=2,
    population=6,
    final_seeds=1,
)


@dataclass
class Watcher:
    findings: list = field(default_factory=list)
    statuses: list = field(default_factory=list)
    ends: int = 0

    def on_evaluation(self, finding):
        self.findings.append(finding)

    def on_status(self, status):
        self.statuses.append(status)

    def on_generation(self, summary):
        assert self.statuses[-1].generation <= summary.generation

    def on_end(self):
        self.ends += 1


def watched(**options):
    watcher = Watcher()
    result = search(options.pop("fitness", None) or Landscape(TARGET), observers=[watcher], **options)
    return watcher, result


def test_the_phases_follow_one_another_and_the_end_is_told_once():
    watcher, result = watched(config=CAREFUL, full_steps=FULL)
    phases = [status.phase for status in watcher.statuses]
    order = [SearchPhase.SEARCH, SearchPhase.RACE]
    assert phases == sorted(phases, key=order.index)
    assert set(phases) == set(order)
    assert [finding.phase for finding in watcher.findings] == phases
    assert watcher.ends == 1
    assert watcher.statuses[-1].steps == watcher.statuses[-1].completed_steps == result.steps


def test_what_may_be_spent_is_told_from_the_start_the_final_comparison_left_out():
    watcher, result = watched(config=CAREFUL, full_steps=FULL)
    assert {(status.planned_steps, status.limited) for status in watcher.statuses} == {(28 * FULL, True)}
    assert result.steps <= 28 * FULL


def test_without_a_limit_there_is_an_estimate():
    watcher, _ = watched(full_steps=FULL)
    (planned,) = {status.planned_steps for status in watcher.statuses}
    assert not watcher.statuses[0].limited
    assert planned == BUDGET.amount * (8 + round(5 * 8 * 1.2))
    unknown, _ = watched()
    assert unknown.statuses[0].planned_steps is None
    assert unknown.statuses[0].seconds_left(10.0) is None


def test_scores_of_the_race_are_not_those_that_decide():
    watcher, result = watched(config=CAREFUL, full_steps=FULL)
    searched = [one for one in watcher.statuses if one.phase is SearchPhase.SEARCH]
    assert searched[-1].best == result.population[0].metrics["f1@10"]
    assert {one.best for one in watcher.statuses if one.phase is SearchPhase.RACE} == {searched[-1].best}
    assert all(one.best >= one.median for one in watcher.statuses)


def test_only_lower_rungs_may_go_on():
    watcher, _ = watched(config=CAREFUL, full_steps=FULL)
    amounts = {True: set(), False: set()}
    for finding in watcher.findings:
        if finding.phase is SearchPhase.SEARCH and not finding.evaluation.lineage:
            amounts[finding.provisional].add(finding.evaluation.budget.amount)
    assert amounts[True] == {25, 50}
    assert amounts[False] == {100}
    assert not any(one.provisional for one in watcher.findings if one.phase is SearchPhase.RACE)
    pruned = [status.pruned for status in watcher.statuses]
    assert pruned[0] == 0 < pruned[-1]


def test_a_replay_is_not_taken_for_training(tmp_path):
    class Stops(Landscape):
        def _evaluate(self, task):
            if len(self.calls) == 20:
                raise KeyboardInterrupt
            return super()._evaluate(task)

    with (
        pytest.raises(KeyboardInterrupt),
        Journal(tmp_path / "journal.jsonl", resume=False, identity={}) as journal,
    ):
        watched(fitness=Stops(TARGET), journal=journal)
    with Journal(tmp_path / "journal.jsonl", resume=True, identity={}) as journal:
        watcher, result = watched(journal=journal)
    replayed = watcher.statuses[:20]
    assert {status.trained_steps for status in replayed} == {0}
    assert replayed[-1].completed_steps == 20 * BUDGET.amount
    assert replayed[-1].seconds_left(60.0) is None
    last = watcher.statuses[-1]
    assert last.trained_steps == last.completed_steps - 20 * BUDGET.amount
    assert last.cache_hits == 0
    assert result.steps == last.completed_steps


def test_results_of_other_runs_are_cached_and_take_no_time(tmp_path):
    store = EvaluationStore(tmp_path, {})
    first, _ = watched(store=store)
    second, _ = watched(store=store)
    assert first.statuses[-1].cache_hits == 0
    last = second.statuses[-1]
    assert (last.cache_hits, last.trained_steps) == (last.evaluations, 0)
    assert all(finding.cached for finding in second.findings)


def test_the_time_left_is_that_of_the_present_pace():
    watcher, _ = watched(config=CAREFUL, full_steps=FULL)
    status = watcher.statuses[3]
    per_step = 60.0 / status.trained_steps
    assert status.seconds_left(60.0) == pytest.approx((28 * FULL - status.completed_steps) * per_step)


def test_failures_are_counted():
    broken = frozenset({"1,2,4,8/1,2,4,8"})
    watcher, _ = watched(fitness=Landscape(TARGET, broken), config=config(budget=Budget(3, "steps")))
    assert watcher.statuses[-1].failures == 1
