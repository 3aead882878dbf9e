"""Which tiles are computed together, and at what length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from g2l.datasets.features import FeatureFile
from g2l.datasets.normalize import Statistics
from g2l.inference.tiling import Tile


@dataclass(eq=False)
class Video:
    """A video on its way.

    Attributes:
        number: Its place among all that are predicted.
        path: The feature file.
        file: Its header, once it was read.
        tiles: What it is cut into.
        statistics: Of all its frames, where its tiles are standardised by them.
        failed: Whether it is given up: nothing more of it needs to be done.
    """

    number: int
    path: Path
    file: FeatureFile = field(init=False)
    tiles: Sequence[Tile] = ()
    statistics: Statistics | None = None
    failed: bool = False


class Piece(NamedTuple):
    """One tile of a video."""

    video: Video
    tile: Tile


@dataclass(frozen=True)
class Group:
    """What the network computes at once.

    Attributes:
        pieces: At most `rows`.
        rows: Size B of the batch; rows without a piece are padding.
        frames: Length T of the batch; frames behind a shorter piece are padding.
    """

    pieces: tuple[Piece, ...]
    rows: int
    frames: int


class Batching(Protocol):
    """Decides what is computed at once.

    Attributes:
        window: Videos that are looked at together.
    """

    window: int

    def groups(self, pieces: Sequence[Piece]) -> Iterator[Group]:
        """Yield all pieces of a window in groups."""
        ...


class OneByOne:
    """Each piece by itself at its own length: of any network, and the fastest way on a CPU."""

    window = 1

    def groups(self, pieces: Sequence[Piece]) -> Iterator[Group]:
        """Yield each piece."""
        for piece in pieces:
            yield Group((piece,), 1, piece.tile.frames)


class Buckets:
    """Pieces of nearly the same length together, padded to one of few lengths; needs a frame mask.

    Few shapes are used, since the device prepares its kernels for each new one. Pieces of which less than two
    fill a batch stay by themselves, without padding.

    Args:
        frames: Largest size of a batch, padding included.
        window: Videos that are looked at together.
    """

    def __init__(self, frames: int, window: int = 64) -> None:
        self.window = window
        self._frames = frames

    def groups(self, pieces: Sequence[Piece]) -> Iterator[Group]:
        """Yield all pieces, those of one length together."""
        buckets: dict[int, list[Piece]] = {}
        for piece in pieces:
            buckets.setdefault(bucket(piece.tile.frames), []).append(piece)
        for frames, members in buckets.items():
            rows = self._frames // frames
            if rows < 2:
                yield from OneByOne().groups(members)
                continue
            for first in range(0, len(members), rows):
                yield Group(tuple(members[first : first + rows]), rows, frames)


def bucket(frames: int) -> int:
    """Return the length that `frames` are padded to: 64, or 9 to 16 times a power of two."""
    step = 1 << max(3, (frames - 1).bit_length() - 4)
    return max(64, -(-frames // step) * step)
