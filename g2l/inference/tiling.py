"""Cutting a video into tiles whose predictions are exactly those of the whole video.

The label of a frame depends on as many frames before and after it as the network reaches. A tile that is
read with so many more frames on either side gives its own frames the values that the whole video gives them;
at the ends of the video the network pads a tile as it pads the video.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from g2l.config import FAMILIES
from g2l.datasets.normalize import BLOCK_FRAMES
from g2l.errors import InputError, OperationalError
from g2l.machine import resident_memory, usable_memory
from g2l.models.metadata import ModelMetadata
from g2l.structure import ReceptiveField

BUFFERS = 2
"""Tiles whose features are in memory: one that is computed and one that is read."""
LONGEST_TILE = 262_144
"""Frames: longer ones would save hardly any overlap."""
_LARGEST = 4 * 10**9
"""Bytes taken by default: of MS-TCN, tiles of 200,000 frames, of which the overlap is 4 %."""
_OVERHEAD = 400 * 10**6
"""Bytes for what is imported while predicting, MLflow most of all, and for what is written."""
_LABEL_BYTES = 8
_SMALLEST = 256
"""Frames of its own that a tile must have to be worth reading."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kmgt]i?|)b?", re.ASCII | re.IGNORECASE)


class Tile(NamedTuple):
    """Frames of a video, counted as the network sees them: after sampling.

    [first, last) are read; the predictions of [start, stop) are kept.
    """

    first: int
    start: int
    stop: int
    last: int

    @property
    def frames(self) -> int:
        """Frames that are read."""
        return self.last - self.first

    @property
    def kept(self) -> slice:
        """Which of the frames that are read are its own."""
        return slice(self.start - self.first, self.stop - self.first)


@dataclass(frozen=True)
class Capacity:
    """How many frames are computed at once, and the memory that they take."""

    frames: int
    """Of a tile or a whole video, overlap included."""
    frame_bytes: int
    kept_bytes: int
    """Of each frame of a video whose tiles are put together."""
    base_bytes: int
    """Taken whatever is computed."""
    receptive_field: ReceptiveField | None
    """None where it is the whole video or unknown."""
    backbone: str

    def tiles(self, num_frames: int) -> tuple[Tile, ...]:
        """Cut a video of so many frames, as the network sees them, or leave it whole where it fits.

        OperationalError if it does not fit and the network cannot be tiled, or not within so little memory.
        """
        if num_frames <= self.frames:
            return (Tile(0, 0, num_frames, num_frames),)
        if self.receptive_field is None:
            raise self._too_large(num_frames, whole_video(self.backbone))
        # A mapped file holds the result: of a very long video, the system drops pages it has no room for.
        kept = min(num_frames * self.kept_bytes // self.frame_bytes, self.frames // 2)
        own = self.frames - kept - self.receptive_field.frames + 1
        if own < _SMALLEST:
            raise self._too_large(
                self.receptive_field.frames + _SMALLEST + kept,
                f"{self.backbone} sees {self.receptive_field.frames} frames",
            )
        return cut(num_frames, self.receptive_field, own)

    def _too_large(self, frames: int, reason: str) -> OperationalError:
        needed = frames * self.frame_bytes + self.base_bytes
        given = self.frames * self.frame_bytes + self.base_bytes
        return OperationalError(
            f"needs about {_show(needed)}, since {reason}, but {_show(given)} may be used.",
            hint="allow more with --max-memory, or use a machine that has more.",
        )


def cut(num_frames: int, reach: ReceptiveField, own: int) -> tuple[Tile, ...]:
    """Return tiles with at most `own` frames of their own, of equal size but for the last one."""
    count = -(-num_frames // own)
    size = -(-num_frames // count)
    return tuple(
        Tile(
            first=max(0, start - reach.past),
            start=start,
            stop=min(num_frames, start + size),
            last=min(num_frames, start + size + reach.future),
        )
        for start in range(0, num_frames, size)
    )


def plan_capacity(metadata: ModelMetadata, max_memory: int | None = None) -> Capacity:
    """Return how many frames of a model are computed at once; InputError if `max_memory` holds nothing.

    These are bytes of this process; None is half of what is available, or nearly all of it where the network
    cannot be tiled.
    """
    reach = known_receptive_field(metadata)
    base, per_frame = resident_memory() + _OVERHEAD, _frame_bytes(metadata)
    smallest = base + BLOCK_FRAMES * per_frame
    if max_memory is None:
        free, _ = usable_memory() or (_LARGEST, _LARGEST)
        max_memory = max(smallest, base + (min(free // 2, _LARGEST) if reach else free * 9 // 10))
    if max_memory < smallest:
        raise InputError(
            f"`max_memory` must be >= {_show(smallest)} for this model, but is {_show(max_memory)} instead."
        )
    frames = (max_memory - base) // per_frame
    return Capacity(
        frames=min(frames, LONGEST_TILE) if reach else frames,
        frame_bytes=per_frame,
        kept_bytes=metadata.sample_rate * (_LABEL_BYTES + 4 * len(metadata.classes)),
        base_bytes=base,
        receptive_field=reach,
        backbone=metadata.backbone.name,
    )


def known_receptive_field(metadata: ModelMetadata) -> ReceptiveField | None:
    """Return how far a network sees, or None where that is unknown or the whole video."""
    known = metadata.backbone.name in FAMILIES and not metadata.backbone.topology.whole_video
    return metadata.receptive_field if known else None


def whole_video(backbone: str) -> str:
    """Return why a network without a known receptive field can neither be tiled nor label a stream."""
    return f"the labels of {backbone} depend on the whole video, or may do so"


def _frame_bytes(metadata: ModelMetadata) -> int:
    """Return what a frame takes: its features twice, about 16 feature maps, and a few times its classes.

    Measured of MS-TCN with 64 feature maps by onnxruntime: 2.2 to 3.2 kB beside the features.
    """
    numbers = BUFFERS * metadata.feature_dim + 16 * metadata.backbone.feature_maps + 8 * len(metadata.classes)
    return 4 * numbers


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `2GB`, `1.5GiB` or `800M`; InputError if it is none."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * (_UNITS | _BINARY)[match[2].lower()]) if match else 0
    if size < 1:
        raise InputError(f"`max_memory` must be a size such as 2GB or 800MiB, but is {text!r} instead.")
    return size


def _show(size: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.{int(name == 'GB')}f} {name}"
    return f"{size:.0f} bytes"
