"""Settings of a conversion; `g2l data convert` derives its options from them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path

from g2l.config import DataConfig
from g2l.settings import Rank, Settings, seed_setting, setting

_first = partial(setting, rank=Rank.FIRST)


class Layout(StrEnum):
    """Which axis comes first in a feature file."""

    DT = "dt"
    TD = "td"


class ConversionRequest(Settings):
    """Features and labels that become a data set.

    Without `segments` the labels are the variable `Y` of the `.mat` files. Without `mapping` the background
    is the first class, and the others are sorted. `group_pattern` is as of `cut_holdout`.
    """

    dataset: str = _first("", "Name of the new data set: a folder in --data-root.", required=True)
    data_root: Path = _first(Path("data"), "Folder of data sets.")
    features: Path = _first(
        Path(), "Folder of <video>.npy, .npz, .pt, .h5, .mat, .csv or .txt (T × D or D × T).", required=True
    )
    segments: Path | None = _first(
        None,
        "Labels: table (video, label, start_s, end_s), ELAN or BORIS file, or a folder of files.",
        default_text="variable Y of .mat files",
    )
    layout: Layout | None = setting(
        None,
        "Axes: dt is feature_dim × frames, td is frames × feature_dim.",
        default_text="inferred",
    )
    feature_dim: int | None = setting(None, "Feature dimension.", at_least=1, default_text="inferred")
    variable: str | None = setting(None, "Array to read from feature files with several.")
    tier: str | None = setting(None, "Tier to read from ELAN files with several.")
    fps: float | None = _first(None, "Frame rate of the features; needed for labels in seconds.", above=0)
    label_fps: float | None = setting(
        None, "Frame rate that frame numbers in labels refer to.", above=0, default_text="--fps"
    )
    offset: float = setting(0.0, "Seconds to add to all label times.")
    length_tolerance: int = setting(
        DataConfig.length_tolerance,
        "Largest allowed difference in length between features and labels.",
        unit="frames",
        at_least=0,
    )
    mapping: Path | None = _first(
        None, "Class numbers to keep (mapping.txt).", default_text="numbered by name"
    )
    background: str = _first("background", "Class of frames without a segment.")
    bundles: Path | None = _first(
        None,
        "Splits to keep: folder of train.split<k>.bundle and test.split<k>.bundle.",
        default_text="one new split",
    )
    leave_one_out: bool = setting(False, "Make one split per subject, which is tested on.")
    test_fraction: float = setting(
        0.25, "Fraction of subjects in the test partition of a new split.", above=0, below=1
    )
    group_pattern: str | None = setting(
        None,
        "Regular expression; group 1 is the subject in a video name; '' for none.",
        default_text="names of GTEA, 50Salads and Breakfast",
    )
    seed: int = seed_setting()

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.leave_one_out and self.bundles is not None:
            yield "`leave_one_out` must be left out where `bundles` gives the splits."
        if not self.background.strip() or not self.background.isprintable():
            yield f"`background` must be a class name, but is {self.background!r} instead."
