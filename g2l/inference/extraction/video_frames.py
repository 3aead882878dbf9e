"""Frames of a video at a constant rate, decoded by PyAV, an optional package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g2l.datasets.errors import DataError
from g2l.errors import InputError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
_HINT = "repair the video, or take it out of the folder."
_ROUNDING = 1e-3
"""Seconds by which times may be early: some containers count milliseconds."""
_LOST_SECONDS, _LOST_SHARE = 1.0, 0.02
"""What may be missing at the end, whichever is more: containers round, and sound may outlast the pictures."""


def require_av() -> Any:
    """Return the package.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError(
            "videos cannot be read without the package av.", hint="pip install 'g2l[video]'."
        ) from None
    return av


def sampled_frames(path: Path, fps: float) -> Iterator[VideoFrame]:
    """Yield what is on the screen at 0, 1 / fps, 2 / fps … seconds after the first frame.

    Raises:
        DataError: The file cannot be read, has no pictures, or ends before it should.
    """
    av = require_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(path, None, "has no video stream.", hint=_HINT)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield from _resample(path, container, stream, fps)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise DataError(path, None, f"cannot be decoded ({reason}).", hint=_HINT) from None


def _resample(path: Path, container: InputContainer, stream: VideoStream, fps: float) -> Iterator[VideoFrame]:
    rate = float(stream.average_rate or stream.guessed_rate or 0) or fps
    shown: VideoFrame | None = None
    start = time = 0.0
    emitted = 0
    for number, frame in enumerate(container.decode(stream)):
        found = number / rate if frame.time is None else frame.time
        if shown is None:
            start = found
        time = max(time, found - start)
        while shown is not None and emitted / fps < time - _ROUNDING:
            yield shown
            emitted += 1
        shown = frame
    if shown is None:
        raise DataError(path, None, "has a video stream, but no frame in it.", hint=_HINT)
    end = time + 1 / rate
    _check_end(path, container, stream, start, end)
    while emitted == 0 or emitted / fps < end - _ROUNDING:
        yield shown
        emitted += 1


def _check_end(path: Path, container: InputContainer, stream: VideoStream, start: float, end: float) -> None:
    if stream.duration is not None and stream.time_base is not None:
        expected = float(stream.duration * stream.time_base)
    else:
        expected = (container.duration or 0) / 1_000_000 - max(0, start)  # microseconds from 0 on
    if expected - end > max(_LOST_SECONDS, _LOST_SHARE * expected):
        message = f"is truncated: it should last {expected:.1f} s, but its frames end after {end:.1f} s."
        raise DataError(path, None, message, hint=_HINT)
