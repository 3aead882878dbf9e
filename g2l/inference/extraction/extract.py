"""Features of a folder of videos, one file each, with `features.json` that says how they were made."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import Features
from g2l.datasets.layout import name_fault
from g2l.errors import InputError
from g2l.files import ensure_folder
from g2l.inference.extraction.encoder import Encoder, hash_encoder
from g2l.inference.extraction.facts import is_done, new_facts, resume, write_features
from g2l.inference.extraction.preprocessing import Image, Normalization, fit, plan_normalization, to_batch
from g2l.inference.extraction.request import ExtractionRequest
from g2l.inference.extraction.video_frames import SUFFIXES, require_av, sampled_frames
from g2l.inference.providers import parse_device
from g2l.progress import NullProgress, Progress


@dataclass(frozen=True)
class ExtractionResult:
    """What was done.

    Attributes:
        written: Videos whose features were extracted.
        kept: Videos whose features were there already.
        frames: Features of all of them.
        feature_dim: D, or 0 where there are none.
        faults: Videos that could not be read.
        device_report: A line on what ran the encoder.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    frames: int
    feature_dim: int
    faults: tuple[Fault, ...]
    device_report: str


def extract_features(request: ExtractionRequest, progress: Progress | None = None) -> ExtractionResult:
    """Extract the features of all videos that are not done yet; a video at fault does not stop the others.

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
    facts = resume(request.output, new_facts(request, digest, encoder, normalization))
    ensure_folder(request.output)
    kept = [name for name, path in videos.items() if is_done(request.output, facts, name, path)]
    written: list[str] = []
    faults: list[Fault] = []
    with (progress or NullProgress()).task("extracting", len(videos)) as bar:
        bar.advance(len(kept))
        for name, path in videos.items():
            if name in kept:
                continue
            try:
                features = _extract(request, encoder, normalization, path)
            except DataError as error:
                faults.append(error.fault)
            else:
                write_features(request.output, facts, name, path, features)
                written.append(name)
            bar.advance(note=name)
    done = [facts["videos"][name] for name in (*kept, *written)]
    return ExtractionResult(
        tuple(written),
        tuple(kept),
        sum(video["frames"] for video in done),
        facts.get("feature_dim", 0),
        tuple(faults),
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
        if reason := name_fault(path.stem):
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
        raise DataError(Fault(path, None, message, hint="the encoder and --mean and --std must fit."))
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
