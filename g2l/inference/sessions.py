"""A model that is ready to run: `.onnx` by onnxruntime, `.safetensors` by torch."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.config import Normalization
from g2l.datasets.features import Features
from g2l.errors import InputError, OperationalError, brief, no_such_file
from g2l.inference.devices import CUDA_PROVIDER, Device, ProviderPlan, confirm, plan_providers
from g2l.machine import usable_cores
from g2l.models.metadata import METADATA_KEY, STANDARDIZED, ModelMetadata

if TYPE_CHECKING:
    from torch import nn

_VALUES = ("features", "probabilities")
"""Input and output of an ONNX graph."""
_NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/onnxruntime_src/.*?\)\s"
    r"|\w+\.cc:\d+ \w+ |ONNX Runtime only .*? versions\. |The operator schemas .*? compatibility\. "
)
"""Parts of onnxruntime's messages: places in its source, and what follows from the rest."""
_HINTS = {
    "till opset": "export it with an older --opset, or update onnxruntime.",
    "IR version": "export it again, with an older --opset, or update onnxruntime.",
    "xternal": "keep the file of its weights beside it, or export it as one file.",
}
"""By a part of the message."""
BATCH_FRAMES = 16_384
"""Of a batch on a GPU, padding included: 134 MB of features at feature_dim 2048."""

FeatureBatch: TypeAlias = npt.NDArray[np.float32]
"""Shape (B, D, T)."""
Probabilities: TypeAlias = npt.NDArray[np.float32]
"""Shape (C, T)."""
ProbabilityBatch: TypeAlias = npt.NDArray[np.float32]
"""Shape (B, C, T)."""


class Session(ABC):
    """Runs one model. Not to be used from two threads at once."""

    metadata: ModelMetadata
    device_report: str
    """Which device runs it, and why."""
    batch_frames: int = 0
    """Frames of several videos, padding included, that are best computed at once; with 0 one at a time."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies the model by its content."""

    @abstractmethod
    def compute(self, features: FeatureBatch, lengths: Sequence[int]) -> ProbabilityBatch:
        """Run the model; see `batch`."""

    def batch(self, features: FeatureBatch, lengths: Sequence[int]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of standardised, subsampled and padded features (B, D, T).

        The returned array belongs to the caller; that of the features is reused after the call. `lengths` are
        the frames of each row that are not padding; rows beyond them are padding, too. There is one row where
        `batch_frames` is 0. OperationalError if the runtime fails: out of memory, a lost device.
        """
        found = self.compute(features, lengths)
        expected = (len(features), len(self.metadata.classes), features.shape[2])
        if found.shape != expected:
            raise OperationalError(
                f"expected probabilities of shape {expected} from the model, found {found.shape}.",
                hint="its file is corrupted, or was not made by g2l.",
            )
        return found

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of one video, (D, T); see `batch`."""
        found: Probabilities = self.batch(features[None], [features.shape[1]])[0]
        return found


def require_finite(probabilities: npt.NDArray[np.float32]) -> None:
    """Raise `OperationalError` if a probability is NaN or infinite."""
    if not np.isfinite(probabilities).all():
        hint = "an fp16 export overflows where features are large; or the model is damaged."
        raise OperationalError("the model gives NaN.", hint=hint)


def open_session(path: Path, device: str = "auto", threads: int | None = None) -> Session:
    """Return a session for a `.onnx` or `.safetensors` file.

    Args:
        path: The file.
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads, or None for the runtime's own choice.

    Raises:
        InputError: The device is unknown or does not work, or the file is missing, corrupted or unknown.
        OperationalError: The device did not start.
    """
    if device not in list(Device):
        raise InputError(f"`device` must be one of {', '.join(Device)}, but is {device!r} instead.")
    chosen = Device(device)
    if threads is not None and threads < 1:
        raise InputError(f"`threads` must be >= 1, but is {threads} instead.")
    if not path.is_file():
        raise no_such_file(path)
    if path.suffix == ".onnx":
        return OnnxSession(path, chosen, threads)
    if path.suffix == ".safetensors":
        from g2l.models.artifact import load_model  # onnx alone needs no torch

        return TorchSession(*load_model(path), chosen, threads)
    raise InputError(
        f"{path}: expected a model that ends in .onnx or .safetensors.",
        hint="a state dict of MS-TCN or G2L code needs --structure and --mapping.",
    )


class TorchSession(Session):
    """Runs a network, (features (B, D, T)) -> logits (S, B, C, T), that is already in memory.

    It is moved to the device and put in evaluation mode; `threads` are those of this process. InputError if
    the device is cuda, and torch finds no GPU.
    """

    def __init__(
        self,
        model: nn.Module,
        metadata: ModelMetadata,
        device: Device = Device.AUTO,
        threads: int | None = None,
    ) -> None:
        import torch

        from g2l.training.device import resolve_device

        if threads is not None:
            torch.set_num_threads(threads)
        self.metadata = metadata
        self._device = resolve_device(device)
        self._model = model.to(self._device).eval()
        self.device_report = f"{self._device.type} by torch"
        if device is Device.AUTO and self._device.type == "cpu":
            self.device_report += " (torch finds no usable GPU)"

    @cached_property
    def fingerprint(self) -> str:
        """Identifies weights and metadata by their content."""
        digest = hashlib.sha256(self.metadata.to_json().encode())
        for name, values in self._model.state_dict().items():
            digest.update(name.encode())
            digest.update(values.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def compute(self, features: FeatureBatch, lengths: Sequence[int]) -> ProbabilityBatch:
        """Run the network; see `batch`."""
        import torch

        try:
            with torch.inference_mode():
                logits = self._model(torch.from_numpy(features).to(self._device))[-1]  # (S, B, C, T) -> last
                probabilities: ProbabilityBatch = torch.softmax(logits, dim=1).cpu().numpy()
        except RuntimeError as error:
            raise OperationalError(f"torch failed: {brief(error)}") from error
        return probabilities


class OnnxSession(Session):
    """Runs an exported model; errors are those of `open_session`.

    On CUDA a model with a frame mask computes short videos in batches: a GPU computes one of them faster than
    its kernels can be launched.
    """

    def __init__(self, path: Path, device: Device = Device.AUTO, threads: int | None = None) -> None:
        self._path = path
        plan = plan_providers(device)
        self._session = load_onnx(path, plan, threads=threads)
        self.metadata = _metadata(path, self._session)
        active = self._session.get_providers()
        self.device_report = confirm(plan, active)
        self._masked = len(self._session.get_inputs()) > 1
        self._input = "features"
        if self.metadata.normalize is not Normalization.NONE and (inner := _without_normalization(path)):
            self._session, self._input = load_onnx(path, plan, threads=threads, content=inner), STANDARDIZED
        self.batch_frames = BATCH_FRAMES if self._masked and active[0] == CUDA_PROVIDER else 0

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the file by its content."""
        return hash_onnx(self._path)

    def compute(self, features: FeatureBatch, lengths: Sequence[int]) -> ProbabilityBatch:
        """Run the graph by IO binding, so that the device reads the inputs from where they are."""
        inputs: dict[str, npt.NDArray[Any]] = {self._input: features}
        if self._masked:
            mask = np.zeros((len(features), 1, features.shape[2]), np.float32)
            mask[: len(lengths), 0] = np.arange(features.shape[2]) < np.array(lengths)[:, None]
            inputs["frame_mask"] = mask
        try:
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_cpu_input(name, array)
            binding.bind_output("probabilities", "cpu")
            self._session.run_with_iobinding(binding)
            probabilities: ProbabilityBatch = binding.copy_outputs_to_cpu()[0]
        except Exception as error:  # onnxruntime's errors have no common base class
            raise run_failed(error) from error
        return probabilities


def load_onnx(
    path: Path, plan: ProviderPlan, *, threads: int | None = None, content: bytes | None = None
) -> Any:
    """Return onnxruntime's session for a file, or for its `content`.

    `threads` None is one per core that this process may use. InputError if the file is missing or not an ONNX
    model, OperationalError if the device did not start.
    """
    import onnxruntime

    if not path.is_file():
        raise no_such_file(path)
    settings = onnxruntime.SessionOptions()
    # Its own default takes no account of affinity or of the limits of a container.
    settings.intra_op_num_threads = threads or usable_cores()
    settings.log_severity_level = 4  # failures are raised, and warnings are about its own optimiser
    try:
        # `enable_fallback` would print to stdout and hide a failing device.
        return onnxruntime.InferenceSession(
            content or path, settings, providers=list(plan.providers), enable_fallback=0
        )
    except Exception as error:  # onnxruntime's errors have no common base class
        reason = _NOISE.sub("", str(error))
        message = f"{path}: onnxruntime cannot load it ({brief(reason)})."
        if plan.device is Device.CPU:
            hints = [hint for part, hint in _HINTS.items() if part in reason]
            hint = [*hints, "the file may be truncated, or not an ONNX model."][0]
            raise InputError(message, hint=hint) from None
        hint = "try --device cpu to distinguish a corrupted file from a failing device."
        raise OperationalError(message, hint=hint) from None


def hash_onnx(path: Path) -> str:
    """Return the SHA-256 of an ONNX file and of the files of weights that it names."""
    import onnx

    digest = hashlib.sha256()
    try:
        tensors = onnx.load(path, load_external_data=False).graph.initializer
        entries = [one for tensor in tensors for one in tensor.external_data]
        external = [path.with_name(one.value) for one in entries if one.key == "location"]
        for file in (path, *dict.fromkeys(external)):
            with file.open("rb") as stream:
                while block := stream.read(2**20):
                    digest.update(block)
    except FileNotFoundError as error:
        raise no_such_file(Path(error.filename)) from None
    except Exception as error:  # protobuf's, of a file of another kind
        raise InputError(f"{path}: expected an ONNX model, but it cannot be read ({brief(error)}).") from None
    return digest.hexdigest()


def run_failed(error: Exception) -> OperationalError:
    """Return the error to raise where onnxruntime failed while a model ran."""
    return OperationalError(f"onnxruntime failed: {brief(error)}")


def _without_normalization(path: Path) -> bytes | None:
    """Return the model without the nodes that normalise its features, or None where it has none.

    `Predictor` normalises: the statistics of a video cannot be computed from a tile of it.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    last = next((number for number, node in enumerate(graph.node) if STANDARDIZED in node.output), None)
    if last is None:  # exported by 0.1.0
        return None
    del graph.node[: last + 1]
    next(value for value in graph.input if value.name == "features").name = STANDARDIZED
    content: bytes = model.SerializeToString()
    return content


def _metadata(path: Path, session: Any) -> ModelMetadata:
    """Return the metadata in the file, after comparing it with the graph."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:
        raise InputError(f"{path}: its metadata is not UTF-8 text.", hint="the file is corrupted.") from None
    if text is None:
        raise InputError(
            f"{path}: expected `{METADATA_KEY}` metadata (classes, feature_dim, …), but there is none.",
            hint="only files written by `g2l export` can be used.",
        )
    metadata = ModelMetadata.from_json(text, str(path))
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    rows = [shapes[name][1] if len(shapes.get(name, ())) == 3 else None for name in _VALUES]
    expected = [metadata.feature_dim, len(metadata.classes)]
    if rows != expected or not shapes.keys() <= {*_VALUES, "frame_mask"}:
        raise InputError(
            f"{path}: expected `features` with {expected[0]} rows and `probabilities` with {expected[1]}, "
            f"as in its metadata, but its graph has {rows[0]} and {rows[1]} instead."
        )
    return metadata
