"""`features.json`: how the features of a folder were made, and which videos are done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.facts import FACTS_NAME, FACTS_SCHEMA, read_feature_facts
from g2l.datasets.faults import DataError
from g2l.datasets.features import Features, open_features
from g2l.errors import InputError
from g2l.files import atomic_path, write_json
from g2l.inference.extraction.encoder import Encoder
from g2l.inference.extraction.preprocessing import Normalization
from g2l.inference.extraction.request import ExtractionRequest


def new_facts(
    request: ExtractionRequest, digest: str, encoder: Encoder, normalization: Normalization | None
) -> dict[str, Any]:
    """Return all that decides the features of a video."""
    takes = encoder.input
    return {
        "schema": FACTS_SCHEMA,
        "encoder": {
            "file": request.encoder.name,
            "sha256": digest,
            "output": encoder.output,
            "clip_frames": takes.clip_frames,
        },
        "fps": float(request.fps),
        "preprocessing": {
            "colours": "RGB",
            "height": takes.height,
            "width": takes.width,
            "fit": "cover, centre",
            "mean": None if normalization is None else list(normalization.mean),
            "std": None if normalization is None else list(normalization.std),
        },
    }


def resume(output: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the videos that are done already.

    Raises:
        InputError: Those in the folder were made in another way.
    """
    before = read_feature_facts(output)
    if before is None:
        return {**facts, "videos": {}}
    old, new = _flat(before), _flat(facts)
    for key, value in new.items():
        if old.get(key) != value:
            raise InputError(
                f"{output / FACTS_NAME}: the features here were made with `{key}` {old.get(key)} instead of "
                f"{value}.",
                hint="choose another --output, or remove this one first.",
            )
    videos = before.get("videos")
    return {**before, "videos": videos if isinstance(videos, dict) else {}}


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the settings by their names, such as `encoder.sha256`."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        inner = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": each for name, each in inner} or {key: value}
    return flat


def is_done(output: Path, facts: dict[str, Any], name: str, path: Path) -> bool:
    """Return whether the features of a video are there, whole and of this file, as far as its size tells."""
    video = facts["videos"].get(name)
    if not isinstance(video, dict) or (video.get("file"), video.get("bytes")) != _identity(path):
        return False
    try:
        return open_features(output / f"{name}.npy").shape[1] == video.get("frames")
    except DataError:
        return False


def write_features(output: Path, facts: dict[str, Any], name: str, path: Path, features: Features) -> None:
    """Write the features of one video, then the facts, in which it is done from now on.

    Raises:
        OperationalError: Writing failed.
    """
    with atomic_path(output / f"{name}.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, features, allow_pickle=False)
    file_name, size = _identity(path)
    facts["feature_dim"] = len(features)
    facts["videos"][name] = {"file": file_name, "bytes": size, "frames": features.shape[1]}
    write_json(output / FACTS_NAME, facts)


def _identity(path: Path) -> tuple[str, int]:
    return path.name, path.stat().st_size
