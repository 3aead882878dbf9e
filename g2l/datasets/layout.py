"""The MS-TCN layout: files of a data set, bundles and mapping, and writing a new one all or nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from glob import escape
from pathlib import Path

from g2l.config import DataConfig
from g2l.datasets.errors import DataError, attempt, strictly
from g2l.datasets.reading import is_folder, normal, numbered, present, read_lines, reading
from g2l.errors import InputError, OperationalError, brief, did_you_mean
from g2l.files import ensure_folder, hold_folder, unwritable, write_text
from g2l.settings import LONGEST_NAME

Sides = tuple[tuple[str, ...], tuple[str, ...]]
"""Train and test videos of a split."""
Splits = Mapping[int, Sides]

_SIDES = ("train", "test")
_BUNDLE = re.compile(r"(train|test)\.split(\d{1,9})\.bundle", re.ASCII)
_INDEX = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class DatasetFolder:
    """Paths inside the folder of one data set, `<data root>/<data set>`."""

    path: Path

    @property
    def mapping(self) -> Path:
        """`mapping.txt`."""
        return self.path / "mapping.txt"

    def features(self, name: str) -> Path:
        """The features of one video; `name` may hold dots."""
        return self._file("features", name, ".npy")

    def ground_truth(self, name: str) -> Path:
        """The labels of one video."""
        return self._file("groundTruth", name, ".txt")

    def bundles(self, split: int) -> tuple[Path, Path]:
        """The train and the test bundle of a split; `train.split01.bundle` is one of split 1."""
        found = find_split_files(self.path / "splits")
        train, test = (
            found.get((side, split), self.path / "splits" / f"{side}.split{split}.bundle") for side in _SIDES
        )
        return train, test

    def splits(self) -> tuple[int, ...]:
        """Numbers of the splits that have at least one bundle, ascending."""
        return tuple(sorted({split for _, split in find_split_files(self.path / "splits")}))

    def _file(self, folder: str, name: str, suffix: str) -> Path:
        """Return the file of a video; its name on disk may be in another Unicode form."""
        path = self.path / folder / f"{name}{suffix}"
        if name.isascii() or present(path):
            return path
        wanted = normal(path.name)
        return next((other for other in path.parent.glob(f"*{suffix}") if normal(other.name) == wanted), path)


def find_split_files(folder: Path) -> dict[tuple[str, int], Path]:
    """Return the bundles of a folder by side and split; of two spellings of a number the shorter is taken."""
    with reading(folder):
        found = list(folder.glob("*.bundle"))
    paths = sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)
    matches = ((_BUNDLE.fullmatch(path.name), path) for path in paths)
    return {(match[1], int(match[2])): path for match, path in matches if match}


def find_dataset(config: DataConfig) -> DatasetFolder:
    """Return the folder of the configured data set, or raise DataError with data sets of similar names."""
    root = config.data_root
    path = root / config.dataset
    if is_folder(path):
        return DatasetFolder(path)
    if not is_folder(root):
        hint = "give the folder that holds data sets with --data-root."
        raise DataError(root, None, "no such folder of data sets.", hint=hint)
    with reading(root):
        known = sorted(one.name for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))
    hint = did_you_mean(config.dataset, known) or (
        f"data sets here: {', '.join(known)}." if known else "make one with `g2l data synth`."
    )
    raise DataError(path, None, "no such data set.", hint=hint)


def find_bundles(folder: DatasetFolder, split: int) -> tuple[Path, Path]:
    """Return the train and the test bundle of a split, or raise DataError with the splits that there are."""
    bundles = folder.bundles(split)
    for path in bundles:
        if not present(path):
            known = ", ".join(map(str, folder.splits()))
            hint = f"splits of this data set: {known}." if known else "this data set has no splits."
            raise DataError(path, None, f"no such bundle; split {split} needs it.", hint=hint)
    return bundles


def read_bundle(path: Path, *, may_be_empty: bool = False) -> tuple[str, ...]:
    """Return the video names of a bundle; DataError at the first error."""
    return tuple(strictly(partial(parse_bundle, path, may_be_empty=may_be_empty)))


def parse_bundle(path: Path, issues: list[DataError], *, may_be_empty: bool = False) -> dict[str, int]:
    """Return the line of each video name in the bundle's order, adding what is wrong to `issues`."""
    lines: dict[str, int] = {}
    rows = list(numbered(read_lines(path)))
    for number, text in rows:
        name = text.removesuffix(".txt")
        if reason := name_error(name):
            message = f"expected the file name of a video, but {brief(repr(text))} {reason}."
            issues.append(DataError(path, number, message))
        elif name in lines:
            message = f"video {name!r} must occur once, but is also in line {lines[name]}."
            issues.append(DataError(path, number, message))
        else:
            lines[name] = number
    if not rows and not may_be_empty:
        issues.append(DataError(path, None, "expected one `<video>.txt` a line, but the bundle is empty."))
    return lines


def read_folds(folder: DatasetFolder, folds: Sequence[int]) -> dict[int, Sides]:
    """Return train and test videos of some folds, or raise DataError; there may be no test videos."""
    found = {}
    for fold in folds:
        train, test = find_bundles(folder, fold)
        found[fold] = read_bundle(train), read_bundle(test, may_be_empty=True)
    return found


def common_videos(folds: Sequence[Sides]) -> Sides:
    """Return the videos that every fold trains on and none tests on, and the test videos of all folds."""
    test = tuple(dict.fromkeys(name for _, tested in folds for name in tested))
    others = [set(train) for train, _ in folds]
    train = (name for name in folds[0][0] if name not in test and all(name in one for one in others))
    return tuple(train), test


def parse_split(bundles: Iterable[Path], issues: list[DataError]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the video names of the train and the test bundle with their lines, adding what is wrong."""
    train_path, test_path = bundles
    train, test = (
        attempt(partial(parse_bundle, path, issues, may_be_empty=path == test_path), issues) or {}
        for path in (train_path, test_path)
    )
    for name, line in test.items():
        if name in train:
            where = f"{train_path.name}:{train[name]}"
            message = f"test video {name!r} must not be trained on, but is in {where}."
            issues.append(DataError(test_path, line, message))
    return train, test


def name_error(name: str) -> str | None:
    """Return why `name` cannot name a video, or None; it must not leave the folder it is used in."""
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if name in ("", ".", ".."):
        return "names a folder"
    if not name.isprintable():
        return "holds a control character"
    size = len(name.encode("utf-8", "surrogatepass"))
    return f"has {size} bytes, and at most {LONGEST_NAME} are possible" if size > LONGEST_NAME else None


@dataclass(frozen=True)
class ClassMapping:
    """Class names in index order, C of them."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Index of each class name."""
        return {name: index for index, name in enumerate(self.names)}


def read_mapping(path: Path) -> ClassMapping:
    """Return the mapping in `path`; DataError at the first error."""
    return strictly(partial(parse_mapping, path))


def parse_mapping(path: Path, issues: list[DataError]) -> ClassMapping:
    """Return the mapping of lines `<index> <class name>`, in any order, adding its errors to `issues`."""
    lines: dict[int, int] = {}
    names: dict[str, int] = {}
    rows = list(numbered(read_lines(path)))
    for number, text in rows:
        # Class names may hold spaces, so only the first run of them separates.
        index_text, _, name = text.replace("\t", " ", 1).partition(" ")
        name = name.strip()
        index = int(index_text) if _INDEX.fullmatch(index_text) else -1
        if index < 0 or not name:
            message = f"expected `<index> <class name>`, but found {brief(repr(text))} instead."
        elif index in lines:
            message = f"index {index} must occur once, but is also in line {lines[index]}."
        elif name in names:
            message = f"class {name!r} must occur once, but also has index {names[name]}."
        else:
            lines[index] = number
            names[name] = index
            continue
        issues.append(DataError(path, number, message))
    if lines and max(lines) >= len(lines):
        missing = next(index for index in range(len(lines)) if index not in lines)
        message = f"indices must be 0 … {len(lines) - 1} without a gap, but {missing} is missing."
        issues.append(DataError(path, lines[max(lines)], message))
    if not rows:
        issues.append(DataError(path, None, "expected one `<index> <class name>` a line, but it is empty."))
    return ClassMapping(tuple(sorted(names, key=names.__getitem__)))


def new_path(root: Path, name: str) -> Path:
    """Return `<root>/<name>`; InputError if that is not a folder name or exists."""
    DataConfig(data_root=root, dataset=name).validate()
    path = root / name
    if present(path):
        raise InputError(f"{path}: already exists.", hint="choose another --dataset, or remove it first.")
    return path


@contextmanager
def new_dataset(root: Path, name: str) -> Iterator[DatasetFolder]:
    """Yield a hidden folder with `features/` in it; it becomes `<root>/<name>` at the end."""
    path = new_path(root, name)
    ensure_folder(root)
    for stale in root.glob(f".{escape(name)}.*.tmp"):
        with suppress(OperationalError, OSError), hold_folder(stale):  # of a process that was killed
            shutil.rmtree(stale, ignore_errors=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".tmp", dir=root) as hidden,
            hold_folder(Path(hidden)),
        ):
            made = DatasetFolder(Path(hidden) / name)
            (made.path / "features").mkdir(parents=True)
            yield made
            made.path.rename(path)
    except OperationalError as error:  # which names the hidden folder
        raise type(error)(error.message.replace(str(hidden), str(root)), hint=error.hint) from None
    except OSError as error:
        raise unwritable(path, error) from error


def write_index(folder: DatasetFolder, class_names: Sequence[str], splits: Splits) -> None:
    """Write the mapping and the bundles of all splits."""
    write_text(folder.mapping, "".join(f"{index} {name}\n" for index, name in enumerate(class_names)))
    for split, sides in splits.items():
        for bundle, names in zip(folder.bundles(split), sides, strict=True):
            write_text(bundle, "".join(f"{name}.txt\n" for name in names))
