"""`last.ckpt`: everything that a killed training needs to continue bit for bit.

The file is replaced atomically after every epoch and at the end of a budget, so that a kill at any instant
leaves the state after some step; the steps since are taken again and give the same bits. The order of batches
is a function of seed and epoch, so the number of steps says which batches of an epoch are still to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from g2l.config import Budget, RecipeConfig
from g2l.errors import InputError
from g2l.files import atomic_path, fingerprint
from g2l.records import EpochRecord
from g2l.training.device import random_states, set_random_states
from g2l.training.state import ResultSoFar, TrainingCallback, TrainingState

SCHEMA = "g2l.training/3"


def training_identity(
    state: TrainingState,
    recipe: RecipeConfig,
    budget: Budget,
    seed: int,
    names: Sequence[str],
    callbacks: Sequence[TrainingCallback],
) -> dict[str, Any]:
    """Return the settings that a checkpoint must share with the training that resumes from it.

    Args:
        state: Model and optimizer before the first step.
        recipe: Settings.
        budget: When the training stops.
        seed: Its seed.
        names: Training videos.
        callbacks: Those that take part.
    """
    shapes = [(name, tuple(weight.shape)) for name, weight in state.model.state_dict().items()]
    groups = [(group["lr"], len(group["params"])) for group in state.optimizer.param_groups]
    return {
        **recipe.as_dict(),
        # Epochs are scored one by one, or once at the last; steps only at the end, wherever that is.
        "budget": str(budget) if budget.unit == "epochs" else "steps",
        "seed": seed,
        "training videos": f"{len(names)} {fingerprint(list(names))}",
        # Its text shows the dilation rates, which the shapes do not.
        "model": f"{type(state.model).__name__} {fingerprint([repr(state.model), shapes])}",
        "optimizer": f"{type(state.optimizer).__name__} {groups}",
        "callbacks": ", ".join(type(callback).__name__ for callback in callbacks),
    }


def save_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    state: TrainingState,
    so_far: ResultSoFar,
    callbacks: Sequence[TrainingCallback],
) -> None:
    """Write the state between two steps to `path` atomically.

    Args:
        path: The file.
        identity: Settings that a resumed training must share, as JSON values.
        state: The live objects.
        so_far: History and best weights.
        callbacks: Their state is saved in this order.

    Raises:
        OperationalError: The file cannot be written.
    """
    saved = {
        "schema": SCHEMA,
        "identity": dict(identity),
        "epoch": state.epoch,
        "step": state.step,
        "too_large": state.too_large,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "callbacks": [callback.state_dict() for callback in callbacks],
        "random": random_states(),
        **vars(so_far),
        "history": [asdict(record) for record in so_far.history],
    }
    content = BytesIO()  # the error that torch raises on a full disk does not mention the disk
    torch.save(saved, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    state: TrainingState,
    callbacks: Sequence[TrainingCallback],
    last_step: int,
) -> ResultSoFar:
    """Bring `state`, the callbacks and the random generators to what `path` holds.

    Returns:
        History and best weights.

    Raises:
        InputError: The file is damaged, of a training with other settings (the first one is named), or
            beyond `last_step` already.
    """
    saved = _read(path)
    _refuse_other(path, saved["identity"], identity)
    if saved["step"] > last_step:
        raise InputError(
            f"{path}: the training must end at step {saved['step']} or later, as far as the checkpoint is, "
            f"but ends at step {last_step} instead.",
            hint="raise the budget, or train without --resume.",
        )
    for torn in path.parent.glob(f".{path.name}.*.tmp"):
        torn.unlink(missing_ok=True)
    state.epoch, state.step = saved["epoch"], saved["step"]
    state.too_large = saved.get("too_large")  # not in those of before
    for callback, callback_state in zip(callbacks, saved["callbacks"], strict=True):
        callback.load_state_dict(callback_state, state)
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    set_random_states(saved["random"])
    return ResultSoFar(
        [EpochRecord(**record) for record in saved["history"]],
        saved["losses"],
        saved["best_epoch"],
        saved["best_score"],
        saved["best_weights"],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        with ZipFile(path) as archive:  # torch does not look at the checksums, and one wrong bit is a weight
            if (torn := archive.testzip()) is not None:
                raise BadZipFile(torn)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise any of a dozen kinds
        raise InputError(
            f"{path}: cannot be read as a training checkpoint ({type(error).__name__}).",
            hint="the file is damaged: delete it and train again from the start.",
        ) from error
    if not isinstance(saved, dict) or saved.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: expected a training checkpoint of schema {SCHEMA}, but found something else.",
            hint="the file was not written by g2l, or by another version: train again from the start.",
        )
    return saved


def _refuse_other(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{path}: `{name}` must be {saved.get(name)!r} as in the checkpoint, "
                f"but is {wanted.get(name)!r} instead.",
                hint="resume with the settings of the interrupted training, or train without --resume.",
            )
