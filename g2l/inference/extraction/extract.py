"""Features of a folder of videos, one file each, with `features.json` that says how they were made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.errors import DataError
from g2l.datasets.facts import FACTS_NAME, FACTS_SCHEMA, read_feature_facts
from g2l.datasets.features import Features, open_features
from g2l.datasets.layout import name_error
from g2l.errors import InputError
from g2l.files import atomic_path, ensure_folder, write_json
from g2l.inference.devices import parse_device
from g2l.inference.extraction.encoder import (
    Encoder,
    Image,
    Normalization,
    fit,
    hash_encoder,
    plan_normalization,
    to_batch,
)
from g2l.inference.extraction.video_frames import SUFFIXES, require_av, sampled_frames
from g2l.progress import NullProgress, Progress


@dataclass(frozen=True, kw_only=True)
class ExtractionRequest:
    """What to extract.

    Attributes:
        videos: Folder of videos.
        encoder: A `.onnx` file.
        output: Folder for `<video>.npy` and `features.json`.
        fps: Features per second of video.
        mean: Of red, green and blue between 0 and 1; None is ImageNet's.
        std: The same.
        size: As of `Encoder`.
        clip_frames: As of `Encoder`.
        encoder_output: As of `Encoder`.
        batch_size: Frames or clips that are encoded at once.
        device: What runs the encoder.
    """

    videos: Path
    encoder: Path
    output: Path
    fps: float = 15.0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: int | None = None
    clip_frames: int | None = None
    encoder_output: str | None = None
    batch_size: int = 32
    device: str = "auto"

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: Some are out of range; all of them are named.
        """
        wrong = []
        if not 0 < self.fps <= 500:
            wrong.append(f"`fps` must be in (0, 500], but is {self.fps} instead.")
        for name in ("size", "clip_frames", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                wrong.append(f"`{name}` must be >= 1, but is {value} instead.")
        if wrong:
            raise InputError(" ".join(wrong))


@dataclass(frozen=True)
class ExtractionResult:
    """What was done.

    Attributes:
        written: Videos whose features were extracted.
        kept: Videos whose features were there already.
        frames: Features of all of them.
        feature_dim: D, or 0 where there are none.
        issues: Videos that could not be read.
        device_report: A line on what ran the encoder.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    frames: int
    feature_dim: int
    issues: tuple[DataError, ...]
    device_report: str


def extract_features(request: ExtractionRequest, progress: Progress | None = None) -> ExtractionResult:
    """Extract the features of all videos that are not done yet; an unreadable video does not stop the others.

    Features and facts are written after each video, whole or not at all: a second call goes on after a kill.

    Raises:
        InputError: A setting is out of range, encoder and settings do not fit, there are no videos, or the
            output folder holds features that were made in another way.
        OperationalError: onnxruntime or writing failed.
    """
    request.validate()
    require_av()
    videos = _find_videos(request.videos)
    digest = hash_encoder(request.encoder)
    encoder = Encoder(
        request.encoder,
        parse_device(request.device),
        request.size,
        request.clip_frames,
        request.encoder_output,
    )
    normalization = plan_normalization(encoder.input, request.mean, request.std)
    facts = _resume(request.output, _new_facts(request, digest, encoder, normalization))
    for name in videos:
        path = request.output / f"{name}.npy"
        if path.exists() and name not in facts["videos"]:
            raise InputError(
                f"{path}: would be replaced, but {FACTS_NAME} does not list it.",
                hint="choose another output folder.",
            )
    ensure_folder(request.output)
    kept = [name for name, path in videos.items() if _is_done(request.output, facts, name, path)]
    written: list[str] = []
    issues: list[DataError] = []
    with (progress or NullProgress()).task("extracting", len(videos)) as bar:
        bar.advance(len(kept))
        for name, path in videos.items():
            if name in kept:
                continue
            try:
                features = _extract(request, encoder, normalization, path)
            except DataError as error:
                issues.append(error)
            else:
                _write_features(request.output, facts, name, path, features)
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


def _extract(
    request: ExtractionRequest, encoder: Encoder, normalization: Normalization | None, path: Path
) -> Features:
    """Return the features of one video, (D, T)."""
    takes = encoder.input
    images = (fit(frame, takes.height, takes.width) for frame in sampled_frames(path, request.fps))
    clips = ((image,) for image in images) if takes.clip_frames is None else _clips(images, takes.clip_frames)
    rows = []
    while batch := list(islice(clips, takes.batch or request.batch_size)):
        rows.append(encoder.encode(to_batch(batch, takes, normalization)))
    features = np.ascontiguousarray(np.concatenate(rows).T)
    if not np.isfinite(features).all():
        frame = int(np.argwhere(~np.isfinite(features).all(axis=0))[0, 0])
        message = f"features must be finite, but those of {frame / request.fps:.1f} s are not."
        raise DataError(path, None, message, hint="the encoder and --mean and --std must fit.")
    return features


def _clips(images: Iterable[Image], length: int) -> Iterator[tuple[Image, ...]]:
    """Yield the clip around each image; at both ends the first and the last image are repeated."""
    window: deque[Image] = deque(maxlen=length)
    for image in _padded(images, length // 2, length - length // 2 - 1):
        window.append(image)
        if len(window) == length:
            yield tuple(window)


def _padded(images: Iterable[Image], before: int, after: int) -> Iterator[Image]:
    last: Image | None = None
    for image in images:
        if last is None:
            yield from repeat(image, before)
        yield image
        last = image
    if last is not None:
        yield from repeat(last, after)


def _new_facts(
    request: ExtractionRequest, digest: str, encoder: Encoder, normalization: Normalization | None
) -> dict[str, Any]:
    """Return all that decides the features of a video."""
    takes = encoder.input
    return {
        "schema": FACTS_SCHEMA,
        "encoder": {
            "file": request.encoder.name,
            "sha256": digest,
            "output": encoder.output,
            "clip_frames": takes.clip_frames,
        },
        "fps": float(request.fps),
        "preprocessing": {
            "colours": "RGB",
            "height": takes.height,
            "width": takes.width,
            "fit": "cover, centre",
            "mean": None if normalization is None else list(normalization.mean),
            "std": None if normalization is None else list(normalization.std),
        },
    }


def _resume(output: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the videos that are done already.

    Raises:
        InputError: Those in the folder were made in another way.
    """
    before = read_feature_facts(output)
    if before is None:
        return {**facts, "videos": {}}
    old, new = _flat(before), _flat(facts)
    for key, value in new.items():
        if old.get(key) != value:
            raise InputError(
                f"{output / FACTS_NAME}: the features here were made with `{key}` {old.get(key)} instead of "
                f"{value}.",
                hint="choose another --output, or remove this one first.",
            )
    videos = before.get("videos")
    return {**before, "videos": videos if isinstance(videos, dict) else {}}


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the settings by their names, such as `encoder.sha256`."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        inner = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": each for name, each in inner} or {key: value}
    return flat


def _is_done(output: Path, facts: dict[str, Any], name: str, path: Path) -> bool:
    """Return whether the features of a video are there, whole and of this file, as far as its size tells."""
    video = facts["videos"].get(name)
    if not isinstance(video, dict) or (video.get("file"), video.get("bytes")) != _identity(path):
        return False
    try:
        return open_features(output / f"{name}.npy").shape[1] == video.get("frames")
    except DataError:
        return False


def _write_features(output: Path, facts: dict[str, Any], name: str, path: Path, features: Features) -> None:
    """Write the features of one video, then the facts, in which it counts as done from now on.

    Raises:
        OperationalError: Writing failed.
    """
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
