"""Facts that a data set keeps: `dataset.json` in its folder, `features.json` beside extracted features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from g2l.config import DataConfig, Normalization
from g2l.datasets.errors import DataError
from g2l.datasets.holdout import group_of
from g2l.datasets.layout import ClassMapping, find_dataset
from g2l.datasets.reading import normal, present, require_regular
from g2l.errors import InputError, brief, did_you_mean
from g2l.files import read_json, write_json

DATASET_NAME = "dataset.json"
DATASET_SCHEMA = "g2l.dataset/1"
FACTS_NAME = "features.json"
FACTS_SCHEMA = "g2l.features/1"
_LOGGER = logging.getLogger("g2l")
_FASTEST = 1e9
"""Frames per second; more is an error in writing."""
_reported: set[str] = set()


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _FASTEST


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and (not value or group_of("", value) in (None, ""))
    except InputError:
        return False


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_FACTS: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    "fps": (None, _is_rate, "a number > 0"),
    "group_pattern": (None, _is_pattern, "a regular expression with a group"),
    "background": (("background",), _is_names, "a list of class names"),
    "normalize": (Normalization.NONE, lambda value: value in list(Normalization), "none, video or train"),
    "sample_rate": (1, lambda value: type(value) is int and value >= 1, "a whole number >= 1"),
}
"""Default, check and expectation of each setting that may come from the facts."""


def resolve_config(config: DataConfig, *, quiet: bool = False) -> DataConfig:
    """Return `config` with every setting that is None taken from the data set's facts, or else its default.

    A given setting wins; unless `quiet`, a warning is logged where the facts differ.
    """
    folder = find_dataset(config).path
    facts = read_dataset_facts(folder)
    found: dict[str, Any] = {}
    for name, (default, _, _) in _FACTS.items():
        given, known = getattr(config, name), facts.get(name)
        if given is not None and known is not None and given != known and not quiet:
            shown = [", ".join(of) if isinstance(of, tuple) else of for of in (known, given)]
            path = folder / DATASET_NAME
            log_once(f"{path}: `{name}` is {shown[0]}; {shown[1]} was given and is used instead.")
        found[name] = given if given is not None else default if known is None else known
    return config.replace(**found)


def background_indices(config: DataConfig, mapping: ClassMapping) -> tuple[int, ...]:
    """Return the indices of the background classes that `config`, or else the facts, names, ascending.

    DataError if a name is not one of a class; only `background` may be absent.
    """
    folder = find_dataset(config)
    names = resolve_config(config, quiet=True).background or ()
    for name in names:
        if name not in mapping.index and name != "background":
            path = folder.path / DATASET_NAME if config.background is None else folder.mapping
            shown = brief(repr(name))
            message = f"`background` must name classes of the data set, but {shown} is none of them."
            hint = did_you_mean(name, mapping.names) or f"classes: {', '.join(mapping.names)}."
            raise DataError(path, None, message, hint=hint)
    return tuple(sorted({mapping.index[name] for name in names if name in mapping.index}))


def read_dataset_facts(folder: Path) -> dict[str, Any]:
    """Return the facts of a data set, as `DataConfig` has them; without an fps, that of `features.json`."""
    path = folder / DATASET_NAME
    facts: dict[str, Any] = {}
    for name, value in (_read(path, DATASET_SCHEMA) or {}).items():
        if name in _FACTS and value is not None:
            _, valid, expected = _FACTS[name]
            if not valid(value):
                message = f"`{name}` must be {expected}, but is {brief(repr(value))} instead."
                raise DataError(path, None, message)
            facts[name] = Normalization(value) if name == "normalize" else value
    if "background" in facts:
        facts["background"] = tuple(map(normal, facts["background"]))
    extraction = read_feature_facts(folder)
    return facts if extraction is None else {"fps": float(extraction["fps"])} | facts


def write_dataset_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `dataset.json`; facts that are None are left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    write_json(folder / DATASET_NAME, {"schema": DATASET_SCHEMA} | known)


def read_feature_facts(folder: Path) -> dict[str, Any] | None:
    """Return the content of `features.json` in a folder, or None; DataError if it is invalid."""
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
    if not present(path):
        return None
    require_regular(path)
    try:
        value = read_json(path)
    except InputError as error:
        line, _, reason = error.message.removeprefix(str(path)).partition(": ")
        raise DataError(path, int(line[1:]) if line else None, reason) from None
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise DataError(path, None, f"expected the schema {schema!r}, but found another one.")
    return value
