"""Options of the two searches, in groups; each group turns itself into a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

import typer

from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.machine import usable_cores
from g2l.receptive_field import Ending
from g2l.search_config import (
    CandidateCheckpoints,
    ExecutorKind,
    GlobalSearchConfig,
    LocalSearchConfig,
    ProxyChoice,
    Strategy,
)

SEARCH, LOCAL, LIMITS = "Global search", "Local search", "Limits"
ENDINGS = "single: a rate per layer; multiple: several branches stay; merge: they become one dense kernel."

Config = TypeVar("Config", GlobalSearchConfig, LocalSearchConfig)


@dataclass(frozen=True)
class LimitOptions:
    """What no structure of a search may exceed."""

    max_receptive_field: Annotated[
        int | None,
        typer.Option(help="Most frames that a label may depend on. (no limit)", rich_help_panel=LIMITS),
    ] = None
    max_look_ahead: Annotated[
        int | None,
        typer.Option(help="Most later frames that a label may depend on. (no limit)", rich_help_panel=LIMITS),
    ] = None

    def within(self, config: Config) -> Config:
        """Return the settings of a search with these limits, validated."""
        return config.replace(
            max_receptive_field=self.max_receptive_field, max_look_ahead=self.max_look_ahead
        ).validate()


@dataclass(frozen=True)
class GlobalOptions:
    """The global search; what is not given comes from the preset."""

    strategy: Annotated[
        Strategy | None,
        typer.Option(
            help="How it decides what to train next. (fast: one-shot, paper: genetic)", rich_help_panel=SEARCH
        ),
    ] = None
    trainings: Annotated[
        float | None,
        typer.Option(
            help="What the search may cost in full trainings, all included. (fast: 24, paper: no limit)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    proxy: Annotated[
        ProxyChoice | None,
        typer.Option(
            help="How long a candidate is trained: a third of a full training, or fixed by --proxy-steps or "
            "--proxy-epochs. (fast: third, paper: fixed)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    final_seeds: Annotated[
        int | None,
        typer.Option(
            help="Full trainings, each of the winner and of the hand-designed structure, that are compared "
            "on test at the end; `pipeline` takes --seeds instead. (fast: 3, paper: 0)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    population: Annotated[
        int | None,
        typer.Option(help="Structures per generation. (fast: 12, paper: 50)", rich_help_panel=SEARCH),
    ] = None
    generations: Annotated[
        int | None, typer.Option(help="Generations. (fast: 6, paper: 100)", rich_help_panel=SEARCH)
    ] = None
    proxy_epochs: Annotated[
        int | None,
        typer.Option(help="Training of a candidate, in epochs. (paper: 5)", rich_help_panel=SEARCH),
    ] = None
    proxy_steps: Annotated[
        int | None,
        typer.Option(help="Training of a candidate, in optimiser steps. (fast: 120)", rich_help_panel=SEARCH),
    ] = None
    fitness: Annotated[
        str | None,
        typer.Option(
            help="Hold-out metric: f1 (mean of F1@10,25,50), f1@10, f1@25, f1@50, edit, accuracy. (f1)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    executor: Annotated[
        ExecutorKind | None,
        typer.Option(
            help="Where candidates are trained. (process on the CPU, serial on a GPU)", rich_help_panel=SEARCH
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            help="Candidates at once, by processes or by a Ray started here. (one per core)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to train on, host:port or auto; all its room is used. (one is started here)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    gpus_per_candidate: Annotated[
        float | None,
        typer.Option(
            help="GPUs that a candidate takes in Ray, 0.25 for four on each. (1 with --device cuda, else 0)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    candidate_checkpoints: Annotated[
        CandidateCheckpoints | None,
        typer.Option(help="Which candidates keep their weights. (all)", rich_help_panel=SEARCH),
    ] = None

    def config(self, defaults: GlobalSearchConfig, device: str) -> GlobalSearchConfig:
        """Return the validated configuration.

        Args:
            defaults: Those of the preset.
            device: `auto`, `cpu` or `cuda`, which decides where candidates are trained by default.
        """
        if self.ray_address is not None and self.workers is not None:
            raise InputError("give --ray-address, whose cluster has its own size, or --workers, not both.")
        executor, workers = executor_for(device, self.executor, self.workers)
        gpus = self.gpus_per_candidate
        if gpus is None and executor is ExecutorKind.RAY and device == "cuda":
            gpus = 1.0
        given = budget("proxy", self.proxy_epochs, self.proxy_steps)
        if given is not None and self.proxy not in (None, ProxyChoice.FIXED):
            raise InputError(
                f"give --proxy {self.proxy}, or the length in --proxy-steps or --proxy-epochs, not both."
            )
        return defaults.replace(
            strategy=self.strategy,
            trainings=self.trainings,
            final_seeds=self.final_seeds,
            population=self.population,
            generations=self.generations,
            proxy=self.proxy if given is None else ProxyChoice.FIXED,
            budget=given,
            fitness=self.fitness,
            executor=executor,
            workers=workers,
            ray_address=self.ray_address,
            gpus_per_candidate=gpus,
            candidate_checkpoints=self.candidate_checkpoints,
        ).validate()


@dataclass(frozen=True)
class LocalOptions:
    """The expectation-guided search; what is not given comes from the preset."""

    expansion_rate: Annotated[
        float | None, typer.Option(help="ρ: branches at (1 ± ρ)d. (0.1)", rich_help_panel=LOCAL)
    ] = None
    branches: Annotated[int | None, typer.Option(help="Branches per layer. (3)", rich_help_panel=LOCAL)] = (
        None
    )
    updates: Annotated[
        int | None,
        typer.Option(help="Estimates; the last collapses the branches. (10)", rich_help_panel=LOCAL),
    ] = None
    interval_epochs: Annotated[
        int | None, typer.Option(help="Epochs between two estimates. (paper: 3)", rich_help_panel=LOCAL)
    ] = None
    interval_steps: Annotated[
        int | None, typer.Option(help="Steps between two estimates. (fast: 20)", rich_help_panel=LOCAL)
    ] = None
    branch_learning_rate: Annotated[
        float | None, typer.Option(help="Adam's rate for the branch weights. (2e-3)", rich_help_panel=LOCAL)
    ] = None
    ending: Annotated[Ending | None, typer.Option(help=f"{ENDINGS} (single)", rich_help_panel=LOCAL)] = None

    def config(self, defaults: LocalSearchConfig) -> LocalSearchConfig:
        """Return the validated configuration."""
        return defaults.replace(
            expansion_rate=self.expansion_rate,
            branches=self.branches,
            updates=self.updates,
            interval=budget("interval", self.interval_epochs, self.interval_steps),
            branch_learning_rate=self.branch_learning_rate,
            ending=self.ending,
        ).validate()


def executor_for(device: str, executor: ExecutorKind | None, workers: int | None) -> tuple[ExecutorKind, int]:
    """Return where candidates are trained: a process per core on the CPU, one after the other on a GPU.

    Args:
        device: `auto`, `cpu` or `cuda`.
        executor: What the user chose, or None.
        workers: What the user chose, or None.

    Raises:
        InputError: The device is unknown, or several workers are to be serial.
    """
    from g2l.training.device import resolve_device

    if executor is ExecutorKind.SERIAL and workers not in (None, 1):
        raise InputError(f"`workers` must be 1 with --executor serial, but is {workers} instead.")
    if executor is None:
        alone = workers == 1 or (workers is None and resolve_device(device).type == "cuda")
        executor = ExecutorKind.SERIAL if alone else ExecutorKind.PROCESS
    if executor is ExecutorKind.SERIAL:
        return executor, 1
    return executor, workers if workers is not None else usable_cores()


def budget(name: str, epochs: int | None, steps: int | None) -> Budget | None:
    """Return the budget that was given, None when none was.

    Raises:
        InputError: Both units were given, or one is below 1.
    """
    if epochs is not None and steps is not None:
        raise InputError(f"give --{name}-epochs or --{name}-steps, not both.")
    for unit, amount in (("epochs", epochs), ("steps", steps)):
        if amount is not None and amount < 1:
            raise InputError(f"`{name}_{unit}` must be >= 1, but is {amount} instead.")
    if epochs is not None:
        return Budget(epochs, "epochs")
    return None if steps is None else Budget(steps, "steps")
