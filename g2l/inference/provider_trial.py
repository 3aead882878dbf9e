"""Which of onnxruntime's providers really start: each runs one convolution."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from g2l.inference.gpu_pieces import CPU_PROVIDER, compiled_in, missing_piece


@dataclass(frozen=True)
class Trial:
    """What became of one provider.

    Attributes:
        provider: Its name.
        fault: Why it cannot be used, or None if it ran.
    """

    provider: str
    fault: str | None


def try_providers() -> list[Trial]:
    """Return one trial for each provider that onnxruntime was built with; nothing is written to stderr.

    A GPU provider that lacks a piece is not started: the piece is what is told.
    """
    return [Trial(provider, missing_piece(provider) or start(provider)) for provider in compiled_in()]


def start(provider: str) -> str | None:
    """Run a convolution by a provider alone; return why that failed, or None.

    Convolutions are what our networks are made of, and what needs cuDNN beside CUDA.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if provider != CPU_PROVIDER:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with _captured_stderr() as said:
        try:
            session = onnxruntime.InferenceSession(
                _convolution(), options, providers=[provider], enable_fallback=0
            )
            found = session.run(None, {"features": np.ones((1, 1, 3), np.float32)})[0]
        except Exception as error:  # onnxruntime's errors have no common base class
            return _cause(said()) or " ".join(str(error).split())
        if provider not in session.get_providers():
            return _cause(said()) or "onnxruntime did not start it"
    return None if found.tolist() == [[[2.0, 2.0, 2.0]]] else f"it computes {found.tolist()} instead of 2"


def _convolution() -> bytes:
    """Return an ONNX model that doubles its input by a convolution."""
    from onnx import TensorProto, ValueInfoProto, helper

    def value(name: str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 3])

    graph = helper.make_graph(
        [helper.make_node("Conv", ["features", "weight"], ["doubled"])],
        "trial",
        [value("features")],
        [value("doubled")],
        [helper.make_tensor("weight", TensorProto.FLOAT, (1, 1, 1), [2.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialised: bytes = model.SerializeToString()
    return serialised


def _cause(said: str) -> str | None:
    """Return what onnxruntime says of a library that it could not load: the last part of its first error."""
    for line in said.splitlines():
        if "with error: " in line:
            return line.rpartition("with error: ")[2].strip()
    return None


@contextlib.contextmanager
def _captured_stderr() -> Iterator[Callable[[], str]]:
    """Yield what returns all that was written to stderr, by C++ too, and keep it from being seen."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: os.pread(file.fileno(), 2**16, 0).decode(errors="replace")
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
