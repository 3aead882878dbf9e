"""Writing a data set in the MS-TCN layout: all of it or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from g2l.config import DataConfig
from g2l.datasets.layout import DatasetFolder, Splits
from g2l.datasets.reading import reading
from g2l.errors import InputError, OperationalError
from g2l.files import ensure_folder, write_text


def new_path(root: Path, name: str) -> Path:
    """Return `<root>/<name>`, where nothing is yet.

    Raises:
        InputError: The name is not a folder name, or something of that name exists.
    """
    DataConfig(data_root=root, dataset=name).validate()
    path = root / name
    with reading(path):
        taken = path.exists() or path.is_symlink()
    if taken:
        raise InputError(f"{path}: already exists.", hint="choose another --dataset, or remove it first.")
    return path


@contextmanager
def new_dataset(root: Path, name: str) -> Iterator[DatasetFolder]:
    """Yield a hidden folder with `features/` in it; it becomes `<root>/<name>` at the end.

    Raises:
        InputError: As of `new_path`.
        OperationalError: Writing failed.
    """
    path = new_path(root, name)
    ensure_folder(root)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".tmp", dir=root) as hidden:
            made = DatasetFolder(Path(hidden) / name)
            (made.path / "features").mkdir(parents=True)
            yield made
            made.path.rename(path)
    except OSError as error:
        raise OperationalError(f"{path}: cannot write ({error.strerror or error}).") from error


def write_index(folder: DatasetFolder, class_names: Sequence[str], splits: Splits) -> None:
    """Write the mapping and the bundles.

    Args:
        folder: The data set.
        class_names: In index order.
        splits: Videos of each split.
    """
    write_text(folder.mapping, "".join(f"{index} {name}\n" for index, name in enumerate(class_names)))
    for split, sides in splits.items():
        for bundle, names in zip(folder.bundles(split), sides, strict=True):
            write_text(bundle, "".join(f"{name}.txt\n" for name in names))
