"""Features of a folder of videos, one file each, with `features.json` that describes how they were made.

Videos are decoded by PyAV, an optional package.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from g2l.datasets.errors import DataError
from g2l.datasets.facts import FACTS_NAME, FACTS_SCHEMA, read_feature_facts
from g2l.datasets.features import Features, open_features
from g2l.datasets.layout import name_error
from g2l.errors import InputError
from g2l.files import atomic_path, ensure_folder, write_json
from g2l.inference.encoder import Encoder, Image, fit, to_batch
from g2l.inference.sessions import hash_onnx
from g2l.inference.settings import ExtractionConfig
from g2l.progress import NullProgress, Progress

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
_HINT = "repair the video, or take it out of the folder."
_ROUNDING = 1e-3
"""Seconds by which times may be early: some containers count milliseconds."""
_LOST_SECONDS, _LOST_SHARE = 1.0, 0.02
"""Tolerated gap at the end, whichever is larger: containers round, and sound may outlast pictures."""


@dataclass(frozen=True)
class ExtractionResult:
    """Result of an extraction."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    """Videos whose features were there already."""
    frames: int
    feature_dim: int
    """D, or 0 where there are no features."""
    issues: tuple[DataError, ...]
    """Videos that could not be read."""
    device_report: str


def extract_features(
    config: ExtractionConfig, progress: Progress | None = None, *, feature_dim: int | None = None
) -> ExtractionResult:
    """Extract the features of all videos that are not done yet; a corrupted video does not stop the others.

    Features and facts are written after each video, whole or not at all: a second call goes on after a kill.

    InputError if a setting is out of range, if encoder, settings and the D that features must have do not
    fit, if there are no videos, or if the output folder holds features that were made in another way.
    """
    config.validate()
    require_av()
    videos = _find_videos(config.videos)
    encoder = Encoder(config)
    facts = _resume(config.output, _new_facts(config, hash_onnx(config.encoder), encoder))
    for name in videos:
        path = config.output / f"{name}.npy"
        if path.exists() and name not in facts["videos"]:
            raise InputError(
                f"{path}: would be replaced, but {FACTS_NAME} does not list it.",
                hint="choose another output folder.",
            )
    ensure_folder(config.output)
    kept = [name for name, path in videos.items() if _is_done(config.output, facts, name, path)]
    written: list[str] = []
    issues: list[DataError] = []
    with (progress or NullProgress()).task("extracting", len(videos)) as bar:
        bar.advance(len(kept))
        for name, path in videos.items():
            if name in kept:
                continue
            try:
                features = _extract(config, encoder, path)
            except DataError as error:
                issues.append(error)
            else:
                if feature_dim not in (None, len(features)):
                    raise InputError(
                        f"{config.encoder}: expected features of feature_dim {feature_dim} for the model, "
                        f"found {len(features)}.",
                        hint="give the encoder that made the features of the training.",
                    )
                _write_features(config.output, facts, name, path, features)
                written.append(name)
            bar.advance(note=name)
    done = [facts["videos"][name] for name in (*kept, *written)]
    return ExtractionResult(
        tuple(written),
        tuple(kept),
        sum(video["frames"] for video in done),
        facts.get("feature_dim", 0),
        tuple(issues),
        encoder.device_report,
    )


def _find_videos(folder: Path) -> dict[str, Path]:
    """Return the videos of a folder by name; hidden files are passed over."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of videos.")
    videos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name[0] == ".":
            continue
        if reason := name_error(path.stem):
            raise InputError(f"{path}: expected a file name that can name a video, but it {reason}.")
        if path.stem in videos:
            raise InputError(
                f"{path}: video {path.stem!r} must be there once, but is {videos[path.stem]} too."
            )
        videos[path.stem] = path
    if not videos:
        raise InputError(f"{folder}: expected videos ({', '.join(SUFFIXES)}), but found none.")
    return videos


def _extract(config: ExtractionConfig, encoder: Encoder, path: Path) -> Features:
    """Return the features of one video, (D, T)."""
    takes = encoder.input
    images = (fit(frame, takes.height, takes.width) for frame in sampled_frames(path, config.fps))
    clips = _clips(images, takes.clip_frames or 1)
    rows = []
    while batch := list(islice(clips, takes.batch or config.batch_size)):
        rows.append(encoder.encode(to_batch(batch, encoder)))
    features = np.ascontiguousarray(np.concatenate(rows).T)
    if not np.isfinite(features).all():
        frame = int(np.argwhere(~np.isfinite(features).all(axis=0))[0, 0])
        message = f"features must be finite, but those of {frame / config.fps:.1f} s are not."
        raise DataError(path, None, message, hint="the encoder and --mean and --std must fit.")
    return features


def _clips(images: Iterator[Image], length: int) -> Iterator[tuple[Image, ...]]:
    """Yield the clip around each image; at both ends the first and the last image are repeated."""
    first = next(images)  # a video has a frame, see `sampled_frames`
    after = length - length // 2 - 1
    window = deque([first] * (length - after), maxlen=length)
    for image in chain(images, repeat(None, after)):
        if len(window) == length:
            yield tuple(window)
        window.append(window[-1] if image is None else image)
    yield tuple(window)


def _new_facts(config: ExtractionConfig, digest: str, encoder: Encoder) -> dict[str, Any]:
    """Return all that decides the features of a video."""
    takes = encoder.input
    mean, std = (None, None) if encoder.colours is None else map(list, encoder.colours)
    return {
        "schema": FACTS_SCHEMA,
        "encoder": {
            "file": config.encoder.name,
            "sha256": digest,
            "output": encoder.output,
            "clip_frames": takes.clip_frames,
        },
        "fps": float(config.fps),
        "preprocessing": {
            "colours": "RGB",
            "height": takes.height,
            "width": takes.width,
            "fit": "cover, centre",
            "mean": mean,
            "std": std,
        },
    }


def _resume(output: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the videos that are done already; InputError if they were made in another way."""
    before = read_feature_facts(output) or {**facts, "videos": {}}
    old, new = _by_name(before), _by_name(facts)
    for key, value in new.items():
        if old.get(key) != value:
            raise InputError(
                f"{output / FACTS_NAME}: the features here were made with `{key}` {old.get(key)} "
                f"instead of {value}.",
                hint="choose another --output, or remove this one first.",
            )
    videos = before.get("videos")
    return {**before, "videos": videos if isinstance(videos, dict) else {}}


def _by_name(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the settings by name, such as `encoder.sha256`."""
    named: dict[str, Any] = {}
    for key, value in facts.items():
        inner = value.items() if isinstance(value, dict) else ()
        named |= {f"{key}.{name}": one for name, one in inner} or {key: value}
    return named


def _is_done(output: Path, facts: dict[str, Any], name: str, path: Path) -> bool:
    """Return whether the features of a video are there, whole and of this file, as far as its size shows."""
    video = facts["videos"].get(name)
    if not isinstance(video, dict) or (video.get("file"), video.get("bytes")) != _identity(path):
        return False
    try:
        return open_features(output / f"{name}.npy").shape[1] == video.get("frames")
    except DataError:
        return False


def _write_features(output: Path, facts: dict[str, Any], name: str, path: Path, features: Features) -> None:
    """Write the features of one video, then the facts, in which it counts as done from now on."""
    file_name, size = _identity(path)
    # Listed before the file exists, so that a file without an entry is never one of ours.
    facts["videos"].setdefault(name, {"file": file_name, "bytes": size})
    write_json(output / FACTS_NAME, facts)
    with atomic_path(output / f"{name}.npy") as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, features, allow_pickle=False)
    facts["feature_dim"] = len(features)
    facts["videos"][name] = {"file": file_name, "bytes": size, "frames": features.shape[1]}
    write_json(output / FACTS_NAME, facts)


def _identity(path: Path) -> tuple[str, int]:
    return path.name, path.stat().st_size


# ------------------------------------------------------------------------------- frames at a constant rate


def require_av() -> Any:
    """Return the package, or raise InputError where it is not installed."""
    try:
        import av
    except ImportError:
        raise InputError(
            "videos cannot be read without the package av.", hint="pip install 'g2l[video]'."
        ) from None
    return av


def sampled_frames(path: Path, fps: float) -> Iterator[VideoFrame]:
    """Yield what is on the screen at 0, 1 / fps, 2 / fps … seconds after the first frame.

    DataError if the file cannot be read, has no pictures, or ends before it should.
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
