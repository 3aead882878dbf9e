"""Facts that a data set keeps: `dataset.json` in its folder, `features.json` beside extracted features."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from g2l.config import DataConfig, Normalization
from g2l.datasets.errors import DataError
from g2l.datasets.holdout import group_of
from g2l.datasets.layout import find_dataset
from g2l.datasets.reading import normal, require_regular
from g2l.errors import InputError, brief
from g2l.files import read_json, write_json

DATASET_NAME = "dataset.json"
DATASET_SCHEMA = "g2l.dataset/1"
FACTS_NAME = "features.json"
FACTS_SCHEMA = "g2l.features/1"
_LOGGER = logging.getLogger("g2l")
_reported: set[str] = set()


def resolve_config(config: DataConfig, *, quiet: bool = False) -> DataConfig:
    """Return `config` with every setting that is None taken from the data set's facts, or else its default.

    A setting that is given wins; a line says so where the facts differ. Resolving twice changes nothing.

    Args:
        config: Names the data set.
        quiet: Whether to log nothing, as in a worker.

    Raises:
        InputError: There is no such data set, or its facts are invalid.
    """
    folder = find_dataset(config).path
    facts = read_dataset_facts(folder)
    found: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        given, known = getattr(config, name), facts.get(name)
        if given is not None and known is not None and given != known and not quiet:
            path = folder / DATASET_NAME
            log_once(f"{path}: `{name}` is {_shown(known)}; {_shown(given)} was given and is used instead.")
        found[name] = given if given is not None else default if known is None else known
    return replace(config, **found)


def read_dataset_facts(folder: Path) -> dict[str, Any]:
    """Return what a data set says of itself: settings as `DataConfig` has them, and `source`.

    `fps` comes from `features.json` where `dataset.json` does not have it.

    Raises:
        DataError: A file of facts is unreadable, of another schema or holds an invalid value.
    """
    path = folder / DATASET_NAME
    facts: dict[str, Any] = {}
    for name, value in (_read(path, DATASET_SCHEMA) or {}).items():
        if name == "source":
            facts[name] = value
        elif name in _FACTS and value is not None:
            check, expected = _FACTS[name]
            if not check(value):
                message = f"`{name}` must be {expected}, but is {brief(repr(value))} instead."
                raise DataError(path, None, message)
            facts[name] = value
    if "normalize" in facts:
        facts["normalize"] = Normalization(facts["normalize"])
    if "background" in facts:
        facts["background"] = tuple(map(normal, facts["background"]))
    extraction = read_feature_facts(folder)
    return facts if extraction is None else {"fps": float(extraction["fps"])} | facts


def write_dataset_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `dataset.json`; facts that are None are left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    write_json(folder / DATASET_NAME, {"schema": DATASET_SCHEMA} | known)


def read_feature_facts(folder: Path) -> dict[str, Any] | None:
    """Return what `features.json` says of the features of a folder, or None when there is none.

    Raises:
        DataError: `features.json` cannot be read, is of another schema or names no frame rate.
    """
    path = folder / FACTS_NAME
    facts = _read(path, FACTS_SCHEMA)
    if facts is not None and not _is_rate(facts.get("fps")):
        raise DataError(path, None, f"`fps` must be > 0, but is {facts.get('fps')!r} instead.")
    return facts


def log_once(message: str) -> None:
    """Log a warning unless this process has logged it already."""
    if message not in _reported:
        _reported.add(message)
        _LOGGER.warning("%s", message)


def _read(path: Path, schema: str) -> dict[str, Any] | None:
    if not path.exists() and not path.is_symlink():
        return None
    require_regular(path)
    try:
        value = read_json(path)
    except InputError as error:
        raise DataError(path, None, error.message.removeprefix(f"{path}: ")) from None
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise DataError(path, None, f"expected the schema {schema!r}, but found another one.")
    return value


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and (not value or group_of("", value) in (None, ""))
    except InputError:
        return False


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


_FACTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "fps": (_is_rate, "a number > 0"),
    "group_pattern": (_is_pattern, "a regular expression with a group"),
    "background": (_is_names, "a list of class names"),
    "normalize": (lambda value: value in list(Normalization), "none, video or train"),
    "sample_rate": (lambda value: type(value) is int and value >= 1, "a whole number >= 1"),
}
_DEFAULTS: dict[str, Any] = {
    "fps": None,
    "group_pattern": None,
    "background": ("background",),
    "normalize": Normalization.NONE,
    "sample_rate": 1,
}
