"""What to convert into a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from g2l.datasets.convert.segments import label_error
from g2l.datasets.convert.sources import Layout
from g2l.datasets.convert.timeline import TOLERANCE
from g2l.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """What to convert.

    Attributes:
        features: Folder of `FEATURE_FORMATS`.
        segments: One of `LABEL_FORMATS`; None: the variable `Y` of the `.mat` files with the features.
        data_root: Folder that holds data sets.
        dataset: Name of the data set to make.
        layout: Axes of the feature files, or None to tell from their shapes.
        feature_dim: D, or None to tell from the shapes.
        variable: Array to take of files that hold several, or None.
        tier: Tier to take of ELAN's files that have several, or None.
        fps: Frames per second of the features, which the data set keeps; None: what `features.json` says.
        label_fps: Rate at which labels count frames, or None: that of the features.
        offset: Seconds to add to all times of labels.
        length_tolerance: Frames by which labels may be longer or shorter than the features.
        mapping: `mapping.txt` to keep, or None: the background is the first class, the others are sorted.
        background: Class of the frames that no segment covers.
        bundles: Folder of bundles, or None to cut one split.
        test_fraction: Share of the subjects to test on where a split is cut.
        group_pattern: Regular expression whose first group in a video name is the subject; None tries the
            known ones, "" means that there are no subjects.
        seed: Of the cut.
    """

    features: Path
    segments: Path | None
    data_root: Path
    dataset: str
    layout: Layout | None = None
    feature_dim: int | None = None
    variable: str | None = None
    tier: str | None = None
    fps: float | None = None
    label_fps: float | None = None
    offset: float = 0.0
    length_tolerance: int = TOLERANCE
    mapping: Path | None = None
    background: str = "background"
    bundles: Path | None = None
    test_fraction: float = 0.25
    group_pattern: str | None = None
    seed: int = 0

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: Some are out of range; all of them are named.
        """
        wrong = []
        if self.feature_dim is not None and self.feature_dim < 1:
            wrong.append(f"`feature_dim` must be >= 1, but is {self.feature_dim} instead.")
        for name, rate in (("fps", self.fps), ("label_fps", self.label_fps)):
            if rate is not None and not 0 < rate < float("inf"):
                wrong.append(f"`{name}` must be > 0, but is {rate} instead.")
        if not abs(self.offset) < float("inf"):
            wrong.append(f"`offset` must be a number of seconds, but is {self.offset} instead.")
        if self.length_tolerance < 0:
            wrong.append(f"`length_tolerance` must be >= 0, but is {self.length_tolerance} instead.")
        if not 0 < self.test_fraction < 1:
            wrong.append(f"`test_fraction` must be in (0, 1), but is {self.test_fraction} instead.")
        if label_error(self.background) or self.background != self.background.strip():
            wrong.append(f"`background` must be a class name, but is {self.background!r} instead.")
        if wrong:
            raise InputError(" ".join(wrong))
