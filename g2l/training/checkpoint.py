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

from g2l.errors import InputError
from g2l.files import atomic_path
from g2l.records import EpochRecord
from g2l.training.device import random_states, set_random_states
from g2l.training.state import TrainingCallback, TrainingState

SCHEMA = "g2l.training/3"
_PLAIN = ("epoch", "step", "too_large", "losses", "best_epoch", "best_score", "best_weights")
"""Fields of the state that are saved as they are."""


def save_checkpoint(
    path: Path, identity: Mapping[str, Any], state: TrainingState, callbacks: Sequence[TrainingCallback]
) -> None:
    """Write the state between two steps to `path` atomically.

    `identity` holds the settings that a resumed training must share, as JSON values.
    """
    saved = {
        "schema": SCHEMA,
        "identity": dict(identity),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "callbacks": [callback.state_dict() for callback in callbacks],
        "random": random_states(),
        "history": [asdict(record) for record in state.history],
        **{name: getattr(state, name) for name in _PLAIN},
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
) -> None:
    """Bring `state`, the callbacks and the random generators to what `path` holds.

    Raises:
        InputError: The file is damaged, of a training with other settings (the first one is named), or
            beyond `last_step` already.
    """
    saved = _read(path)
    theirs = saved["identity"]
    for name in sorted(theirs.keys() | identity.keys()):
        if theirs.get(name) != identity.get(name):
            raise InputError(
                f"{path}: `{name}` must be {theirs.get(name)!r} as in the checkpoint, "
                f"but is {identity.get(name)!r} instead.",
                hint="resume with the settings of the interrupted training, or train without --resume.",
            )
    if saved["step"] > last_step:
        raise InputError(
            f"{path}: the training must end at step {saved['step']} or later, as far as the checkpoint is, "
            f"but ends at step {last_step} instead.",
            hint="raise the budget, or train without --resume.",
        )
    for torn in path.parent.glob(f".{path.name}.*.tmp"):
        torn.unlink(missing_ok=True)
    for name in _PLAIN:
        setattr(state, name, saved.get(name))
    state.history = [EpochRecord(**record) for record in saved["history"]]
    for callback, callback_state in zip(callbacks, saved["callbacks"], strict=True):
        callback.load_state_dict(callback_state, state)
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    set_random_states(saved["random"])


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
