from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from search_landscapes import BUDGET, METRICS, Landscape, Shuffled, evaluation, score
from small_searches import HAND, TARGET, config, search

from g2l.config import Budget, Strategy
from g2l.errors import InputError, OperationalError
from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.search.candidates import Origin, SearchPhase, nothing_learnt
from g2l.search.journal import EvaluationStore, Journal
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology


class Recorder:
    def __init__(self):
        self.evaluations, self.summaries = [], []

    def on_evaluation(self, event):
        self.evaluations.append((event.evaluation.structure, event.status.generation, event.cached))

    def on_generation(self, summary):
        self.summaries.append(summary)

    def on_end(self):
        pass


def test_it_climbs_and_never_falls_below_the_hand_designed():
    result = search(config=config(generations=20))
    best = [summary.best for summary in result.generations]
    assert best == sorted(best)
    assert best[-1] == result.best.metrics["edit"] > result.hand_designed.metrics["edit"]
    assert result.hand_designed.structure == HAND
    assert result.population[0] == result.best
    assert len(result.generations) == 21


def test_no_structure_is_trained_twice_and_counts_add_up():
    fitness = Landscape(TARGET)
    recorder = Recorder()
    result = search(fitness, observers=[recorder])
    assert max(Counter(fitness.calls).values()) == 1
    assert fitness.calls[0] == HAND.key
    assert result.evaluations == len(fitness.calls) == len(recorder.evaluations)
    assert recorder.summaries == list(result.generations)
    assert [summary.generation for summary in recorder.summaries] == list(range(6))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_completion_order_does_not_matter(order):
    assert search(executor=Shuffled(Landscape(TARGET), order)) == search()


def test_the_fitness_decides():
    def score_of(task):
        high = dict.fromkeys(METRICS, 10.0) | {"edit": score(task.structure, TARGET)}
        return evaluation(task.structure, 0, metrics=high)

    fitness = score_of

    assert search(fitness, config=config(fitness="accuracy")).best.structure == HAND
    assert search(fitness, config=config(fitness="edit")).best.structure != HAND


def test_failures_rank_last_and_end_nothing():
    clean = Landscape(TARGET)
    search(clean)
    broken = frozenset(clean.calls[1::2])
    recorder = Recorder()
    fitness = Landscape(TARGET, broken=broken)
    result = search(fitness, observers=[recorder])
    assert result.best.status is EvaluationStatus.DONE
    assert sum(summary.failures for summary in recorder.summaries) >= 3
    assert all(Counter(fitness.calls)[key] in (0, 2) for key in broken)  # tried once more
    assert "NaN" not in str([summary.as_dict() for summary in recorder.summaries])


def test_a_first_population_that_fails_entirely_ends_it():
    def score_of(task):
        raise InputError("data/x: no such folder.")

    with pytest.raises(OperationalError, match=r"none of the first 8 candidates .*: data/x: no such folder"):
        search(score_of)


def test_a_score_that_is_not_finite_is_a_failure():
    def score_of(task):
        return evaluation(task.structure, float("nan") if task.structure != HAND else 5.0)

    result = search(score_of, config=config(generations=1))
    assert result.best.structure == HAND
    assert {member.reason for member in result.population[1:]} == {"ValueError: metric `accuracy` is nan"}


def test_an_exhausted_space_is_served_from_the_cache():
    space = SearchSpace(LayerTopology(), (2,), (1, 2))
    fitness = Landscape(space.from_rates([2, 1]))
    result = search(
        fitness, space=space, hand_designed=space.from_rates([1, 2]), config=config(survival_margin=100.0)
    )
    assert result.evaluations == len(fitness.calls) == 4
    assert result.cache_hits > 0
    assert result.best.structure == space.from_rates([2, 1])
    assert len(result.population) == 4


def test_the_weak_are_replaced_by_random_ones_except_at_the_end():
    recorder = Recorder()
    search(observers=[recorder], config=config(survival_margin=1e-9, mutation_probability=0.0))
    *middle, last = recorder.summaries[1:]
    for summary in middle:
        origins = [member.origin for member in summary.population[1:]]
        assert len(summary.population) == 8
        assert origins.count(Origin.RANDOM) >= 6
        assert summary.evaluations + summary.cache_hits > 8
    assert last.evaluations + last.cache_hits == 8
    scores = [member.fitness for member in last.population]
    assert scores == sorted(scores, reverse=True)


def test_the_store_is_shared_across_searches(tmp_path):
    first, second = Landscape(TARGET), Landscape(TARGET)
    store = EvaluationStore(tmp_path, {"data": "d"})
    one = search(first, store=store)
    recorder = Recorder()
    two = search(second, store=store, observers=[recorder])
    assert second.calls == []
    assert (two.best, two.population) == (one.best, one.population)
    assert (two.evaluations, two.cache_hits) == (0, one.evaluations + one.cache_hits)
    assert all(cached for _, _, cached in recorder.evaluations)


FULL = 100
CAREFUL = config(
    strategy=Strategy.RANDOM,
    trainings=30.0,
    budget=Budget(25, "steps"),
    leaders=2,
    population=6,
    final_seeds=1,
)


@dataclass
class Watcher:
    findings: list = field(default_factory=list)
    ends: int = 0

    @property
    def statuses(self):
        return [finding.status for finding in self.findings]

    def on_evaluation(self, event):
        self.findings.append(event)

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
    assert watcher.ends == 1
    assert watcher.statuses[-1].steps == watcher.statuses[-1].completed_steps == result.steps


def test_without_a_limit_there_is_an_estimate():
    watcher, _ = watched(full_steps=FULL)
    (planned,) = {status.planned_steps for status in watcher.statuses}
    assert not watcher.statuses[0].limited
    assert planned == BUDGET.amount * (8 + round(5 * 8 * 1.2))
    unknown, _ = watched()
    assert unknown.statuses[0].planned_steps is None
    assert unknown.statuses[0].seconds_left(10.0) is None


def test_a_replay_is_not_taken_for_training(tmp_path):
    class Stops(Landscape):
        def __call__(self, task):
            if len(self.calls) == 20:
                raise KeyboardInterrupt
            return super().__call__(task)

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


def alike(task, value):
    return Evaluation(**vars(task), metrics=dict.fromkeys(METRICS, value))


def test_nothing_learnt_is_said_and_the_hand_designed_structure_kept():
    settings = config(leaders=2, generations=2)
    flat = search(lambda task: alike(task, 30.0), config=settings)
    assert flat.verdict.startswith("Nothing was learnt: all ")
    assert (flat.winner, flat.race) == (HAND, None)

    low = search(lambda task: alike(task, score(task.structure, TARGET) / 50), config=settings)
    assert "below the floor of 5" in low.verdict
    assert (low.winner, low.best, low.race) == (HAND, low.hand_designed, None)
    assert low.population[0].structure != HAND


def test_a_hand_designed_structure_that_cannot_be_trained_is_never_kept():
    settings, broken = config(generations=2), frozenset([HAND.key])

    def fitness(value):
        return lambda task: alike(task, value) if task.structure != HAND else Landscape(TARGET, broken)(task)

    for leaders in (0, 2):
        flat = search(fitness(30.0), config=settings.replace(leaders=leaders))
        assert flat.winner != HAND
        assert flat.best.structure == flat.winner
        assert "hand-designed structure could not be trained" in flat.verdict


def test_one_structure_or_real_scores_are_no_evidence_of_nothing_learnt():
    assert nothing_learnt([]) is None
    assert nothing_learnt([0.0]) is None
    assert nothing_learnt([30.0, 30.5]) is None
    assert nothing_learnt([100.0, 100.0]) is None
    assert search(config=config(leaders=2)).verdict is None
