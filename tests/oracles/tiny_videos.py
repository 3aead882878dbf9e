"""Videos whose frames have one colour each, and encoders whose features are those colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import TensorProto, helper

from g2l.inference.settings import ExtractionConfig

HEIGHT, WIDTH = 24, 32


def colours(frames: int) -> np.ndarray:
    """Return the colour of each frame, (T, 3), from 0 to 255."""
    levels = np.arange(frames, dtype=np.uint8)
    return np.stack([2 * levels, 250 - levels, levels], axis=1)


def write_video(path: Path, frames: int = 30, rate: int = 30, codec: str = "ffv1", times=None) -> Path:
    """Write a video; ffv1 loses nothing.

    Args:
        path: Its suffix decides the container.
        frames: How many.
        rate: Frames per second.
        codec: Of the pictures.
        times: When each frame is shown, in units of 1 / rate, or None: one after the other.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        container.start_encoding()  # writes the header even of no frames
        for number, colour in enumerate(colours(frames)):
            image = np.broadcast_to(colour, (HEIGHT, WIDTH, 3)).copy()
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """Write a file that has sound and no pictures."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_encoder(path: Path, shape=("n", 3, 8, 8), kind: int = TensorProto.FLOAT, keep: int = 2) -> Path:
    """Write an encoder that gives the mean colour of each frame; of clips one frame after the other.

    Args:
        path: Ends in `.onnx`.
        shape: Of its input `images`.
        kind: Of the numbers it takes.
        keep: 2: an output `features` (N, D); 4: the same as (N, D, 1, 1).
    """
    spatial = [len(shape) - 2, len(shape) - 1]
    constants = {"axes": spatial, "rows": [0, -1] + [1] * (keep - 2)}
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "rows"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None] * keep)],
        [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def tiny_request(root: Path) -> ExtractionConfig:
    """Return what extracts the colours of the videos in `videos`, divided by 255."""
    (root / "videos").mkdir()
    return ExtractionConfig(
        videos=root / "videos",
        encoder=write_encoder(root / "encoder.onnx"),
        output=root / "features",
        device="cpu",
        mean="0,0,0",
        std="1,1,1",
        batch_size=4,
    )
