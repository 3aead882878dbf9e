from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from g2l.config import (
    FAST,
    PAPER,
    PRESETS,
    BackboneConfig,
    Budget,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    LocalSearchConfig,
    Normalization,
    RecipeConfig,
)
from g2l.errors import InputError
from g2l.files import canonical_json
from g2l.settings import setting_fields
from g2l.structure import DilationStructure

NAN = float("nan")


def data(**changes):
    return DataConfig(dataset="gtea", **changes)


@pytest.mark.parametrize(
    "config", [BackboneConfig(), data(), RecipeConfig(), GlobalSearchConfig(), LocalSearchConfig()]
)
def test_defaults_are_valid_frozen_and_json(config):
    assert config.validate() is config
    assert json.loads(canonical_json(config.as_dict())) == config.as_dict()
    with pytest.raises(FrozenInstanceError):
        config.seed = 1


def test_the_class_defaults_name_the_strategy_of_the_command_line():
    assert GlobalSearchConfig().strategy is GlobalSearchConfig.of_preset(FAST).strategy


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name):
    for config in (RecipeConfig, GlobalSearchConfig, LocalSearchConfig):
        config.of_preset(name).validate()


def test_the_paper_preset_is_the_paper():
    configs = (RecipeConfig, GlobalSearchConfig, LocalSearchConfig)
    recipe, search, local = (config.of_preset(PAPER) for config in configs)
    assert (search.population, search.generations, search.budget) == (50, 100, Budget(5))
    assert (search.mutation_probability, search.gene_mutation_probability) == (0.2, 0.2)
    assert (search.max_exponent, search.survival_margin) == (10, 10.0)
    assert (recipe.epochs, recipe.batch_size, recipe.decay_epoch) == (65, 8, 50)
    assert (recipe.learning_rate, recipe.decay_factor) == (5e-4, 0.1)
    assert (local.expansion_rate, local.branches, local.interval, local.updates) == (0.1, 3, Budget(3), 10)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneConfig(stages=0), "`stages` must be >= 1, but is 0 instead"),
        (BackboneConfig(dropout=NAN), "`dropout` must be >= 0 and < 1 and finite, but is nan instead"),
        (DataConfig(dataset="a/b"), "`dataset` must be a folder name below the data root, but is 'a/b'"),
        (DataConfig(dataset=".."), "`dataset` must be a folder name"),
        (DataConfig(dataset="a\0"), "`dataset` must be a folder name"),
        (DataConfig(dataset="x" * 300), "`dataset` must be a folder name"),
        (data(holdout_fraction=1.0), "`holdout_fraction` must be > 0 and < 1, but is 1.0 instead"),
        (data(fps=0.0), "`fps` must be > 0, but is 0.0 instead"),
        (RecipeConfig(learning_rate=float("inf")), "`learning_rate` must be > 0 and finite, but is inf"),
        (RecipeConfig(monitor="loss"), "`monitor` must be one of f1, .*, accuracy, but is 'loss' instead"),
        (GlobalSearchConfig(population=1), "`population` must be >= 2, but is 1 instead"),
        (LocalSearchConfig(expansion_rate=0.0), "`expansion_rate` must be > 0 and <= 1, but is 0.0 instead"),
        (LocalSearchConfig(branches=4), "`branches` must be 2 or an odd number, but is 4 instead"),
    ],
)
def test_errors_name_setting_range_and_value(config, message):
    with pytest.raises(InputError, match=message):
        config.validate()


def test_all_errors_are_reported_at_once():
    with pytest.raises(InputError) as error:
        GlobalSearchConfig(population=0, generations=-1, workers=0).validate()
    assert all(f"`{name}`" in error.value.message for name in ("population", "generations", "workers"))
    assert "\n" not in error.value.message


def test_result_settings_leave_out_where_and_how_fast():
    one = data(data_root=Path("a"), cache_mb=1, sample_rate=2)
    other = data(data_root=Path("b"), cache_mb=2, sample_rate=2)
    assert one.result_settings() == other.result_settings()
    assert one.result_settings() != data(sample_rate=3).result_settings()
    search = GlobalSearchConfig(workers=3, executor=ExecutorKind.PROCESS, candidate_checkpoints="none")
    assert search.result_settings() == GlobalSearchConfig().result_settings()
    assert set(GlobalSearchConfig().as_dict()) - set(search.result_settings()) == {
        *("candidate_checkpoints", "executor", "workers", "ray_address", "gpus_per_candidate")
    }


def test_every_setting_has_a_default_in_range_and_a_help_sentence():
    configs = [BackboneConfig, DataConfig, RecipeConfig, GlobalSearchConfig, LocalSearchConfig]
    for config in configs:
        for one in setting_fields(config).values():
            assert list(one.errors(one.default)) == []
            assert one.help[0] == one.help[0].upper() or one.choices or ":" in one.help
            for value in one.presets.values():
                assert list(one.errors(value)) == []
                assert value != one.default


def test_json_values_are_plain():
    value = data(data_root=Path("x/y"), normalize=Normalization.TRAIN, background=("a", "b")).as_dict()
    assert (value["data_root"], value["normalize"], value["background"]) == ("x/y", "train", ["a", "b"])
    assert type(value["normalize"]) is str
    assert GlobalSearchConfig().as_dict()["budget"] == {"amount": 120, "unit": "steps"}


def test_a_backbone_knows_its_hand_designed_structure():
    backbone = BackboneConfig(stages=2, layers=3)
    assert backbone.hand_designed() == DilationStructure(((1, 2, 4), (1, 2, 4)))
    assert backbone.fit(backbone.hand_designed()) is backbone


def test_a_structure_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"s\.json: expected 2 rates for each layer .* found 3 rates"):
        BackboneConfig(name="ms-tcn++").fit(DilationStructure(((1, 2, 4), (4,))), "s.json")


@pytest.mark.parametrize(
    ("amount", "unit", "message"),
    [
        (0, "epochs", "`amount` must be >= 1, but is 0 instead"),
        (1, "hours", "`unit` must be epochs or steps, but is 'hours' instead"),
    ],
)
def test_budgets_are_checked(amount, unit, message):
    with pytest.raises(InputError, match=message):
        Budget(amount, unit)
