"""Searches change rates too often to be compiled: `compile` is for trainings alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.pipeline.search_local import search_locally
from tests.pipeline.tiny_pipeline import RECIPE, global_task, local_task

COMPILED = RECIPE.replace(compile=True)


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch):
    def refuse(module, **options):
        raise AssertionError(f"{type(module).__name__} is compiled")

    monkeypatch.setattr(nn.Module, "compile", refuse)


def test_a_local_search_is_not_compiled(context, tiny):
    assert search_locally(context, local_task(tiny, recipe=COMPILED)).steps > 0


def test_candidates_are_not_compiled(context, tiny):
    task = replace(global_task(tiny), recipe=COMPILED)
    assert search_globally(context, prepare_search(context.data, task)).steps > 0
