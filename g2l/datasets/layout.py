"""Where the files of a data set are (the MS-TCN layout)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from g2l.config import DataConfig
from g2l.datasets.faults import DataError, Fault
from g2l.errors import did_you_mean

_SIDES = ("train", "test")
_BUNDLE = re.compile(r"(?:train|test)\.split(\d+)\.bundle")


@dataclass(frozen=True)
class DatasetFolder:
    """Paths inside the folder of one data set.

    Attributes:
        path: `<data root>/<data set>`.
    """

    path: Path

    @property
    def mapping(self) -> Path:
        """`mapping.txt`."""
        return self.path / "mapping.txt"

    def features(self, name: str) -> Path:
        """The features of one video; `name` may hold dots."""
        return self.path / "features" / f"{name}.npy"

    def ground_truth(self, name: str) -> Path:
        """The labels of one video."""
        return self.path / "groundTruth" / f"{name}.txt"

    def bundles(self, split: int) -> tuple[Path, Path]:
        """The train and the test bundle of a split."""
        train, test = (self.path / "splits" / f"{side}.split{split}.bundle" for side in _SIDES)
        return train, test

    def splits(self) -> tuple[int, ...]:
        """Numbers of the splits that have at least one bundle, ascending."""
        matches = (_BUNDLE.fullmatch(path.name) for path in (self.path / "splits").glob("*.bundle"))
        return tuple(sorted({int(match[1]) for match in matches if match}))


def find_dataset(config: DataConfig) -> DatasetFolder:
    """Return the folder of the configured data set.

    Raises:
        DataError: There is no such folder; data sets of a similar name are suggested.
    """
    root = config.data_root
    path = root / config.dataset
    if path.is_dir():
        return DatasetFolder(path)
    if not root.is_dir():
        hint = "give the folder that holds data sets with --data-root."
        raise DataError(Fault(root, None, "no such folder of data sets.", hint=hint))
    known = sorted(item.name for item in root.iterdir() if item.is_dir() and not item.name.startswith("."))
    hint = did_you_mean(config.dataset, known) or (
        f"data sets here: {', '.join(known)}." if known else "make one with `g2l data synth`."
    )
    raise DataError(Fault(path, None, "no such data set.", hint=hint))


def find_bundles(folder: DatasetFolder, split: int) -> tuple[Path, Path]:
    """Return the train and the test bundle of a split.

    Raises:
        DataError: One of them does not exist; the splits that do are listed.
    """
    bundles = folder.bundles(split)
    for path in bundles:
        if not path.is_file():
            known = ", ".join(map(str, folder.splits()))
            hint = f"splits of this data set: {known}." if known else "this data set has no splits."
            raise DataError(Fault(path, None, f"no such bundle; split {split} needs it.", hint=hint))
    return bundles
