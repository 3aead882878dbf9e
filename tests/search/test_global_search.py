from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from search_landscapes import BUDGET, METRICS, Landscape, Shuffled, evaluation, score, scored
from small_searches import HAND, SPACE, TARGET, config, search

from g2l.errors import InputError, OperationalError
from g2l.evaluation import EvaluationStatus
from g2l.search.breeding import Breeder
from g2l.search.population import Candidate, Origin
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure, LayerTopology


class Recorder:
    def __init__(self):
        self.evaluations, self.summaries, self.statuses = [], [], []

    def on_evaluation(self, finding):
        self.evaluations.append((finding.evaluation.structure, finding.generation, finding.cached))

    def on_status(self, status):
        self.statuses.append(status)

    def on_generation(self, summary):
        self.summaries.append(summary)

    def on_end(self):
        pass


def alone(score_of):
    """Make a fitness of a function of one task."""

    class Alone:
        group_size = 1

        def __call__(self, group):
            return [score_of(task) for task in group]

    return Alone()


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


def test_every_candidate_has_the_same_seed_and_budget():
    seen = set()

    def score_of(task):
        seen.add((task.budget, task.seed))
        return scored(task, TARGET)

    search(alone(score_of), seed=11)
    assert seen == {(BUDGET, 11)}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_completion_order_does_not_matter(order):
    assert search(executor=Shuffled(Landscape(TARGET), order)) == search()


def test_seeds_give_other_searches():
    assert search(seed=1).population != search(seed=2).population


def test_rates_above_the_cap_are_projected():
    result = search(space=SearchSpace(LayerTopology.serial((4, 4)), (1, 2)), hand_designed=HAND)
    assert result.hand_designed.structure.rates == (1, 2, 2, 2) * 2


def test_a_tie_goes_to_the_hand_designed():
    result = search(alone(lambda task: evaluation(task.structure, 50.0)))
    assert result.best.structure == HAND
    assert result.best == result.hand_designed


def test_all_scores_zero_is_survived():
    result = search(alone(lambda task: evaluation(task.structure, 0.0)))
    assert result.best.structure == HAND


def test_the_fitness_decides():
    def score_of(task):
        high = dict.fromkeys(METRICS, 10.0) | {"edit": score(task.structure, TARGET)}
        return evaluation(task.structure, 0, metrics=high)

    fitness = alone(score_of)

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


def test_hand_designed_may_fail():
    result = search(Landscape(TARGET, broken=frozenset([HAND.key])))
    assert result.hand_designed.status is EvaluationStatus.FAILED
    assert result.hand_designed.reason == f"RuntimeError: no memory for {HAND.key}"
    assert result.best.status is EvaluationStatus.DONE


def test_a_first_population_that_fails_entirely_ends_it():
    def score_of(task):
        raise InputError("data/x: no such folder.")

    with pytest.raises(OperationalError, match=r"none of the first 8 candidates .*: data/x: no such folder"):
        search(alone(score_of))


def test_a_score_that_is_not_finite_is_a_failure():
    def score_of(task):
        return evaluation(task.structure, float("nan") if task.structure != HAND else 5.0)

    result = search(alone(score_of), config=config(generations=1))
    assert result.best.structure == HAND
    assert {member.reason for member in result.population[1:]} == {"ValueError: metric `accuracy` is nan"}


def test_an_exhausted_space_is_served_from_the_cache():
    space = SearchSpace(LayerTopology.serial((2,)), (1, 2))
    fitness = Landscape(space.from_rates([2, 1]))
    result = search(
        fitness, space=space, hand_designed=space.from_rates([1, 2]), config=config(survival_margin=100.0)
    )
    assert result.evaluations == len(fitness.calls) == 4
    assert result.cache_hits > 0
    assert result.best.structure == space.from_rates([2, 1])
    assert len(result.population) == 4


def test_a_space_of_one_structure_is_searched():
    space = SearchSpace(LayerTopology.serial((1,)), (1,))
    result = search(Landscape(space.from_rates([1])), space=space, hand_designed=space.from_rates([1]))
    assert result.evaluations == 1


@pytest.mark.parametrize("population", [2, 3, 7])
def test_odd_and_small_populations_skip_no_pair(population):
    settings = config(population=population, generations=3, mutation_probability=1e-9, survival_margin=1e9)
    result = search(config=settings)
    pairs = 2 * ((population + 1) // 2)
    assert [summary.evaluations + summary.cache_hits for summary in result.generations] == [population] + [
        pairs
    ] * 3


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


def test_mutants_are_spawned_by_children_with_their_chance():
    parents = [
        Candidate(evaluation(SPACE.sample(np.random.default_rng(i)), 50.0), 50.0, i, Origin.RANDOM)
        for i in range(40)
    ]
    breeder = Breeder(SPACE, (), np.random.default_rng(0))
    proposals = breeder.offspring(parents, config(population=400, mutation_probability=0.2))
    origins = Counter(proposal.origin for proposal in proposals)
    assert origins[Origin.CROSSOVER] == 400
    assert origins[Origin.MUTATION] / 400 == pytest.approx(0.2, abs=0.05)
    assert len({proposal.structure for proposal in proposals}) == len(proposals)


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


def test_another_shape_seed_or_setting_is_refused():
    with pytest.raises(InputError, match="`structure` must have stages of"):
        search(hand_designed=DilationStructure(((1,),)))
    with pytest.raises(InputError, match="`seed` must be >= 0, but is -1 instead"):
        search(seed=-1)
    with pytest.raises(InputError, match="`population` must be >= 2"):
        search(config=config(population=1))


def test_progress_covers_every_evaluation():
    log = []

    class Bar:
        def __init__(self, name, total):
            self.name, self.total, self.done = name, total, 0

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            log.append((self.name, self.total, self.done))

        def advance(self, count=1, note=None):
            self.done += count

    class Bars:
        def task(self, description, total):
            return Bar(description, total)

    result = search(progress=Bars())
    assert all(total == done for _, total, done in log)
    batches = [total for name, total, _ in log if name.startswith("generation ")]
    assert sum(batches) == result.evaluations
    assert log[-1][:2] == ("global search", 6)
    assert log[0][0] == "generation 0"
