"""`g2l data synth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from g2l.errors import InputError

from . import console
from .data_report import next_command
from .settings import SynthConfig

if TYPE_CHECKING:
    from g2l.datasets.synthetic import SyntheticDataset


def synth(config: SynthConfig) -> None:
    """Make a synthetic data set whose best receptive fields are known.

    Example: g2l data synth --dataset lags41 --kind lags --lags 41
    """
    from g2l.datasets.layout import new_path
    from g2l.datasets.synthetic import write_dataset

    new_path(config.data_root, config.dataset)  # refused before anything is drawn
    names = ("kind", "lags", "seed", "videos", "frames", "classes", "feature_dim")
    source = {"made_by": "g2l data synth", **{name: getattr(config, name) for name in names}}
    path = write_dataset(config.data_root, config.dataset, _generate(config), source)
    console.say(f"{path}: {console.count(config.videos, 'video')}, splits 1 and 2.")
    console.say(f"try: {next_command('pipeline', config.data_root, config.dataset)} --split 1")


def _generate(config: SynthConfig) -> SyntheticDataset:
    import numpy as np

    from g2l.datasets.synthetic import kitchen, lags

    sizes = {name: getattr(config, name) for name in ("videos", "frames", "classes", "feature_dim")}
    given = {name: value for name, value in sizes.items() if value is not None}
    generator = np.random.default_rng(config.seed)
    if config.kind == "kitchen":
        return kitchen(generator, **given)
    return lags(generator, _lags("41" if config.lags is None else config.lags), **given)


def _lags(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"`--lags` must be frames separated by commas, such as 41,7, but is {text!r} instead."
        ) from None
