"""Named sets of defaults for the whole pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from g2l.config import RecipeConfig
from g2l.evaluation import Budget
from g2l.search_config import GlobalSearchConfig, LocalSearchConfig, ProxyChoice, Strategy


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of defaults for the whole pipeline."""

    recipe: RecipeConfig
    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig


PRESETS = {
    # Costs no more than 24 trainings and says what they have shown. Candidates differ by more points of F1
    # than of accuracy, which the paper's margin of 10 is meant for.
    "fast": Preset(
        recipe=RecipeConfig(),
        global_search=GlobalSearchConfig(
            strategy=Strategy.ONE_SHOT,
            trainings=24.0,
            proxy=ProxyChoice.THIRD,
            leaders=3,
            final_seeds=3,
            survival_margin=20.0,
        ),
        local_search=LocalSearchConfig(interval=Budget(20, "steps")),
    ),
    # A few minutes on two cores: for `g2l demo`, whose networks are small and whose videos are short. After
    # 60 steps its candidates are still ranked the wrong way round, after 100 they are not.
    "demo": Preset(
        recipe=RecipeConfig(epochs=60, learning_rate=1e-3),
        global_search=GlobalSearchConfig(
            population=6, generations=2, budget=Budget(100, "steps"), survival_margin=20.0
        ),
        local_search=LocalSearchConfig(interval=Budget(12, "steps")),
    ),
    # G2L, section 4.1, with the faults of the released code mended (see `g2l.search`).
    "paper": Preset(
        recipe=RecipeConfig(epochs=65, batch_size=8, decay_epoch=50),
        global_search=GlobalSearchConfig(population=50, generations=100, budget=Budget(5, "epochs")),
        local_search=LocalSearchConfig(),
    ),
}
