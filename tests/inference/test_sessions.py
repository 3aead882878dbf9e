from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from g2l.errors import InputError, OperationalError
from g2l.export.onnx_export import export_onnx
from g2l.inference import sessions
from g2l.inference.devices import CPU_PROVIDER, CUDA_PROVIDER, Device, ProviderPlan
from g2l.inference.sessions import OnnxSession, TorchSession, open_session
from g2l.models.artifact import save_model
from g2l.models.metadata import METADATA_KEY
from g2l.models.ms_tcn import MSTCN


@pytest.fixture(scope="session")
def network(metadata):
    torch.manual_seed(0)
    return MSTCN(metadata.structure, feature_dim=6, num_classes=3, feature_maps=8).eval()


@pytest.fixture(scope="session")
def files(network, metadata, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    export_onnx(network, metadata, folder / "model.onnx")
    save_model(folder / "model.safetensors", network, metadata)
    return folder


def features(frames):
    return np.random.default_rng(frames).standard_normal((6, frames), dtype=np.float32)


def write_graph(path, metadata, *, masked=False, feature_dim=3, classes=3, with_metadata=True):
    """An ONNX file that is softmax(features [* frame_mask])."""

    def value(name, rows):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", rows, "frames"])

    nodes = [helper.make_node("Softmax", ["masked" if masked else "features"], ["probabilities"], axis=1)]
    inputs = [value("features", feature_dim)]
    if masked:
        nodes.insert(0, helper.make_node("Mul", ["features", "frame_mask"], ["masked"]))
        inputs.append(value("frame_mask", 1))
    graph = helper.make_graph(nodes, "graph", inputs, [value("probabilities", classes)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if with_metadata:
        helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("frames", [1, 3, 50])
def test_both_kinds_of_file_say_the_same_and_know_themselves(files, metadata, frames):
    exported, weights = (open_session(files / name, "cpu", 1) for name in ("model.onnx", "model.safetensors"))
    assert exported.metadata == weights.metadata == metadata
    found = exported.probabilities(features(frames))
    assert found.shape == (3, frames)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(found, weights.probabilities(features(frames)), atol=1e-6)


def test_a_foreign_onnx_file_is_refused(metadata, tmp_path):
    path = write_graph(tmp_path / "m.onnx", metadata, with_metadata=False)
    with pytest.raises(InputError, match=r"m.onnx: expected `g2l` metadata .* but there is none") as caught:
        open_session(path, "cpu")
    assert "g2l export" in caught.value.hint


@pytest.mark.parametrize(("feature_dim", "classes"), [(5, 3), (3, 4)])
def test_metadata_of_another_graph_is_refused(metadata, tmp_path, feature_dim, classes):
    path = write_graph(
        tmp_path / "m.onnx", replace(metadata, feature_dim=3), feature_dim=feature_dim, classes=classes
    )
    with pytest.raises(
        InputError, match=r"m.onnx: (expected `features` with 3 rows|onnxruntime cannot load)"
    ):
        open_session(path, "cpu")


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_garbage_is_an_input_error_in_one_line(tmp_path, suffix, capfd):
    path = tmp_path / f"bad{suffix}"
    for content in (b"", b"garbage" * 50):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"bad{suffix}: ") as caught:
            open_session(path, "cpu")
        assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("field", "reason", "hint"),
    [
        ("opset", r"Opset 99 .* till opset \d+", "--opset"),
        ("ir_version", "IR version: 99, max supported", "--opset"),
    ],
)
def test_a_model_that_is_too_new_is_refused_with_both_versions(files, tmp_path, field, reason, hint):
    model = onnx.load(files / "model.onnx")
    if field == "opset":
        model.opset_import[0].version = 99
    else:
        model.ir_version = 99
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(InputError, match=rf"new\.onnx: .*{reason}") as caught:
        open_session(tmp_path / "new.onnx", "cpu")
    assert hint in caught.value.hint
    assert "onnxruntime_src" not in caught.value.message


def test_weights_in_another_file_count_as_content_of_the_model(files, tmp_path):
    onnx.save(
        onnx.load(files / "model.onnx"),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=128,
    )
    session = open_session(tmp_path / "m.onnx", "cpu")
    np.testing.assert_array_equal(
        session.probabilities(features(9)),
        open_session(files / "model.onnx", "cpu").probabilities(features(9)),
    )
    before, weights = session.fingerprint, (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(bytes(len(weights)))
    assert open_session(tmp_path / "m.onnx", "cpu").fingerprint != before
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"m\.onnx: .*weights\.bin") as caught:
        open_session(tmp_path / "m.onnx", "cpu")
    assert "beside it" in caught.value.hint


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        open_session(tmp_path / "none.onnx", "cpu")
    with pytest.raises(InputError, match="`device` must be one of auto, cpu, cuda, but is 'cuda:0'"):
        open_session(tmp_path / "none.onnx", "cuda:0")
    (tmp_path / "epoch-50.model").touch()
    with pytest.raises(InputError, match=r"expected a model that ends in .onnx or .safetensors") as caught:
        open_session(tmp_path / "epoch-50.model")
    assert "--structure" in caught.value.hint


def test_a_gpu_that_does_not_start_is_no_silent_fallback(files, monkeypatch):
    plan = ProviderPlan(Device.CUDA, ((CPU_PROVIDER, {}),))
    monkeypatch.setattr(sessions, "plan_providers", lambda device: plan)
    with pytest.raises(OperationalError, match="did not start CUDAExecutionProvider"):
        OnnxSession(files / "model.onnx", Device.CUDA)


def test_features_that_do_not_fit_fail_in_one_line(files, metadata, network):
    for session in (open_session(files / "model.onnx", "cpu"), TorchSession(network, metadata, Device.CPU)):
        with pytest.raises(OperationalError, match=r"^(onnxruntime|torch) failed: [^\n]*$"):
            session.probabilities(features(4)[:5])


def test_a_network_that_drops_frames_is_told(metadata, network):
    class Shorter(torch.nn.Module):
        def forward(self, features):
            return network(features)[..., 2:]

    session = TorchSession(Shorter(), metadata, Device.CPU)
    with pytest.raises(
        OperationalError, match=r"expected probabilities of shape \(1, 3, 9\) .* found \(1, 3, 7\)"
    ):
        session.probabilities(features(9))


@pytest.mark.parametrize("masked", [True, False])
def test_only_a_masked_model_on_cuda_computes_batches(metadata, tmp_path, monkeypatch, masked):
    path = write_graph(tmp_path / "m.onnx", replace(metadata, feature_dim=3), masked=masked)
    loaded = sessions.load_onnx(path, ProviderPlan(Device.CPU, ((CPU_PROVIDER, {}),)))

    class OnCuda:
        def get_providers(self):
            return [CUDA_PROVIDER, CPU_PROVIDER]

        def __getattr__(self, name):
            return getattr(loaded, name)

    monkeypatch.setattr(sessions, "load_onnx", lambda *arguments, **options: OnCuda())
    monkeypatch.setattr(
        sessions, "plan_providers", lambda device: ProviderPlan(Device.CUDA, ((CUDA_PROVIDER, {}),))
    )
    session = OnnxSession(path, Device.CUDA)
    assert (session.batch_frames > 0) == masked
    assert session.device_report == "cuda by onnxruntime"
    if masked:
        values = np.stack([features(4)[:3], features(4)[3:]])
        found = session.batch(values, [4, 2])
        np.testing.assert_allclose(found[0], session.probabilities(values[0]), rtol=1e-6)
        np.testing.assert_allclose(found[1, :, 2:], 1 / 3, rtol=1e-6)
