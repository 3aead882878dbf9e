"""Which feature files to predict, and the result of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from g2l.datasets.labels import Labels
from g2l.errors import G2LError, InputError
from g2l.inference.probabilities import Probabilities


@dataclass(frozen=True)
class VideoPrediction:
    """The prediction of one video, at the frame rate of its feature file.

    Attributes:
        name: File name without `.npy`.
        path: The feature file.
        labels: Most probable class of every frame, (T,).
        probabilities: (C, T); of a video that was computed in tiles a memory map of a temporary file.
        notice: A remark on how the file was read, or None.
    """

    name: str
    path: Path
    labels: Labels
    probabilities: Probabilities
    notice: str | None = None


@dataclass(frozen=True)
class VideoFailure:
    """Why a video could not be predicted; the others go on."""

    name: str
    path: Path
    error: G2LError


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """Return the feature files that `paths` name, each once; none of them is opened.

    Args:
        paths: Files, in the order given, and folders: all that ends in `.npy` there, in alphabetical order,
            without hidden files.

    Raises:
        InputError: A path is missing, a folder holds no `.npy` file, nothing is given, or two
            different files have one name, since their predictions would.
    """
    videos: dict[str, Path] = {}
    for file in (file for path in paths for file in _expand(path)):
        known = videos.setdefault(file.stem, file)
        if known is not file and known.resolve() != file.resolve():
            raise InputError(
                f"{file}: video {file.stem!r} must occur once, but {known} has the same name.",
                hint="predict them into different output folders.",
            )
    if not videos:
        raise InputError("`features` must name at least one feature file, but is empty instead.")
    return list(videos.values())


def _expand(path: Path) -> Iterator[Path]:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:  # a name that is too long, a loop of links
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if not exists:
        raise InputError(f"{path}: no such file or folder.")
    if not is_folder:
        yield path
        return
    files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.name[0] != ".")
    if not files:
        raise InputError(f"{path}: expected feature files (.npy), but the folder holds none.")
    yield from files
