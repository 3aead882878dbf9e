"""Damaged files of every kind: each is refused in one line that names it, or read as what it still says."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO

import h5py
import numpy as np
import pytest
import torch
from damage import damaged, damaged_json, damaged_npy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from typer.testing import CliRunner

from cli.main import app
from g2l.config import BackboneConfig, Normalization
from g2l.datasets.convert.labels import read_labels_of
from g2l.datasets.convert.segments import LabelSettings
from g2l.datasets.convert.sources import open_source
from g2l.datasets.errors import strictly
from g2l.datasets.facts import read_dataset_facts
from g2l.datasets.features import open_features
from g2l.datasets.labels import parse_labels
from g2l.datasets.layout import ClassMapping, name_error, read_bundle, read_mapping
from g2l.errors import InputError, OperationalError
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.segments import Annotation, FrameReader, SegmentRow, write_eaf
from g2l.inference.sessions import TorchSession, open_session
from g2l.models.metadata import METADATA_KEY, ModelMetadata
from g2l.models.published import load_published
from g2l.models.registry import build_backbone
from g2l.receptive_field import describe
from g2l.search.journal import read_journal
from g2l.structure import DilationStructure
from g2l.structure_files import Dialect, read_layer_rates, read_structure, write_structure

LONGEST_MESSAGE = 2000
METADATA = ModelMetadata(
    structure=DilationStructure(((1, 2),)),
    backbone=BackboneConfig(stages=1, layers=2, feature_maps=3),
    classes=("a", "b"),
    feature_dim=4,
    sample_rate=2,
    normalize=Normalization.TRAIN,
    mean=(0.0, 0.1, 0.2, 0.3),
    std=(1.0,) * 4,
    transitions=((0, 1, 3),),
)
PLAIN = METADATA.to_json()
VIDEO = np.random.default_rng(0).standard_normal((4, 10), dtype=np.float32)


def written(save_to, *content, **named):
    """Return what a function that writes to a stream writes."""
    stream = BytesIO()
    save_to(stream, *content, **named)
    return stream.getvalue()


def _read_npy(path):
    found = open_features(path).read()
    plain = np.load(path, allow_pickle=False)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, plain.reshape(found.shape).astype(np.float32))
    assert found.ndim == 2
    assert np.isfinite(found).all()


def _read_stored(path):
    assert np.isfinite(open_source(path, None).read()).all()


def _hdf5(array):
    content = BytesIO()
    with h5py.File(content, "w") as file:
        file["features"] = array
    return content.getvalue()


def _read_labels_file(path):
    issues = []
    found = read_labels_of(path.parent, path, LabelSettings(10.0), issues)
    assert all("\n" not in str(issue) for issue in issues)
    assert all(0 <= each.start < each.end for rows in found.segments.values() for each in rows)


def _read_frames(path):
    labels = strictly(partial(parse_labels, path, ClassMapping(("background", "cut it", "pour"))))
    assert len(labels) > 0
    assert 0 <= labels.min() <= labels.max() < 3


def _eaf(folder):
    path = folder / "whole.eaf"
    rows = [
        SegmentRow("a", 0, "pour", 0, 10, 0.0, 1.0, 0.9, 0.1),
        SegmentRow("a", 1, "cut", 10, 25, 1.0, 2.5, 0.8, 0.2),
    ]
    write_eaf(path, Annotation("a", rows, 10.0))
    return path.read_bytes()


def _torch(value):
    return written(lambda stream: torch.save(value, stream))


def _read_mapping(path):
    names = read_mapping(path).names
    assert len(set(names)) == len(names) > 0
    assert all(name.strip() == name != "" for name in names)


def _read_bundle(path):
    assert all(name_error(name) is None for name in read_bundle(path))


def _read_names(path):
    reader = FrameReader()
    assert 0 <= reader.read(path).min() <= len(reader.names)


def _read_structure(path):
    found = read_structure(path)
    assert min(found.structure.rates) >= 1
    found.topology.receptive_field(found.structure)


def _structures(folder):
    found = []
    for dialect in Dialect:
        for backbone, stages in (("ms-tcn", ((1, 2), (4, 8))), ("ms-tcn++", ((1, 2, 3, 4), (4, 8)))):
            path = folder / "whole.json"
            write_structure(path, DilationStructure(stages), dialect, backbone=backbone, causal=True)
            found.append(path.read_bytes())
    return found


def _journal():
    task = {"structure": [[1, 2]], "budget": {"amount": 3, "unit": "steps"}, "seed": 1}
    outcome = {"metrics": {"f": 1.0}, "seconds": 0.5, "status": "done", "reason": None, "checkpoint": None}
    lines = [
        {"event": "header", "schema": "g2l.journal/1"},
        {"event": "evaluation", "evaluation": task | outcome, "cached": False},
        {"event": "generation", "generation": 0, "population": []},
        {"event": "end"},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _network():
    torch.manual_seed(0)
    return build_backbone(METADATA.backbone, METADATA.structure, feature_dim=4, num_classes=2)


def safetensors_file(metadata: str):
    # One entry: of several, safetensors mixes the order, and the spoilt files would differ from run to run.
    return save(_network().state_dict(), metadata={METADATA_KEY: metadata})


def graph_file(metadata: str, *, masked: bool = False):
    weight = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4, "frames"])]
    nodes = [
        helper.make_node("Conv", ["features", "weight"], ["logits"], pads=[2, 2], dilations=[2]),
        helper.make_node("Softmax", ["masked" if masked else "logits"], ["probabilities"], axis=1),
    ]
    if masked:
        inputs.append(helper.make_tensor_value_info("frame_mask", TensorProto.FLOAT, ["batch", 1, "frames"]))
        nodes.insert(1, helper.make_node("Mul", ["logits", "frame_mask"], ["masked"]))
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2, "frames"])
    graph = helper.make_graph(nodes, "g", inputs, [output], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: metadata})
    return model.SerializeToString()


def _predict(session, path):
    video = path.parent / "video.npy"
    if not video.exists():
        np.save(video, VIDEO)
    (result,) = Predictor(session).predict([video])
    if isinstance(result, VideoFailure):
        assert result.error.message.count(str(video)) == 1
        return
    assert result.probabilities.shape == (len(session.metadata.classes), 10)
    assert result.labels.shape == (10,)


def _read_official(path):
    _predict(TorchSession(*load_published(path, structure=None, classes=("a", "b"))), path)


def _read_model(path):
    _predict(open_session(path, "cpu"), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged")
    (path / "stored").mkdir()
    return path


CLASSES = b"0 background\n1 cut it\n2 pour\n3 x\n"
FRAMES = b"background\ncut it\npour\npour\n" * 3
TABLE = b"video,label,start,end\na,cut it,0,10\na,pour,10,25\nb,pour,0,7\n"
LIST = b"1-30 SIL\n31-40 cut it\n"
FACTS = b'{"schema": "g2l.dataset/1", "fps": 15, "background": ["a"], "sample_rate": 2, "normalize": "none"}'
NAMES = [FRAMES, b"### Frame level recognition: ###\na b b c\n"]
ARRAYS = [written(np.save, VIDEO), written(np.save, VIDEO.astype(">f8").T)]
READERS: dict[str, tuple[str, Callable, Callable, int, tuple[Callable, ...]]] = {
    "features": ("a.npy", lambda _: ARRAYS, _read_npy, 300, (damaged, damaged_npy)),
    "archive": (
        "stored/a.npz",
        lambda _: [written(np.savez_compressed, features=VIDEO)],
        _read_stored,
        100,
        (damaged,),
    ),
    "hdf5": ("stored/a.h5", lambda _: [_hdf5(VIDEO)], _read_stored, 100, (damaged,)),
    "torch": ("stored/a.pt", lambda _: [_torch(torch.from_numpy(VIDEO))], _read_stored, 100, (damaged,)),
    "text": ("stored/b.csv", lambda _: [b"1,2,3\n4,5,6\n", b"a b\n1 2\n"], _read_stored, 100, (damaged,)),
    "annotations": ("a.eaf", lambda folder: [_eaf(folder)], _read_labels_file, 100, (damaged,)),
    "segments": ("a.csv", lambda _: [TABLE], _read_labels_file, 200, (damaged,)),
    "lists": ("c.txt", lambda _: [LIST, FRAMES], _read_labels_file, 100, (damaged,)),
    "mapping": ("mapping.txt", lambda _: [CLASSES], _read_mapping, 200, (damaged,)),
    "bundle": ("a.bundle", lambda _: [b"a.txt\nb c.txt\nd.e.txt\n"], _read_bundle, 100, (damaged,)),
    "labels": ("a.txt", lambda _: [FRAMES], _read_frames, 100, (damaged,)),
    "facts": (
        "dataset.json",
        lambda _: [FACTS],
        lambda path: read_dataset_facts(path.parent),
        100,
        (damaged, damaged_json),
    ),
    "names": ("b.txt", lambda _: NAMES, _read_names, 100, (damaged,)),
    "structure": ("s.json", _structures, _read_structure, 200, (damaged, damaged_json)),
    "layer rates": ("r.json", _structures, read_layer_rates, 100, (damaged, damaged_json)),
    "journal": ("journal.jsonl", lambda _: [_journal()], read_journal, 100, (damaged,)),
    "onnx": (
        "m.onnx",
        lambda _: [graph_file(PLAIN), graph_file(PLAIN, masked=True)],
        _read_model,
        100,
        (damaged,),
    ),
    "safetensors": ("m.safetensors", lambda _: [safetensors_file(PLAIN)], _read_model, 80, (damaged,)),
    "state dict": ("m.model", lambda _: [_torch(_network().state_dict())], _read_official, 40, (damaged,)),
}
"""Of each reader: its file, whole files that it reads, the reader, how many damaged ones, and the damage."""


@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_in_one_line_or_reads(folder, name):
    file, make, read, count, kinds = READERS[name]
    path = folder / file
    wholes = make(folder)
    for whole in wholes:
        path.write_bytes(whole)
        _read_or_refuse(path, read)

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(content=st.sampled_from(wholes).flatmap(lambda whole: st.one_of([kind(whole) for kind in kinds])))
    def check(content):
        path.write_bytes(content)
        _read_or_refuse(path, read)

    check()


@pytest.mark.parametrize("build", [graph_file, safetensors_file])
@settings(max_examples=60, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_metadata_of_models(folder, build, data):
    described = replace(METADATA, layers=describe(_network())) if data.draw(st.booleans()) else METADATA
    text = data.draw(damaged_json(described.to_json().encode())).decode("utf-8", "replace")
    path = folder / ("meta.onnx" if build is graph_file else "meta.safetensors")
    path.write_bytes(build(text))
    _read_or_refuse(path, _read_model)


def _read_or_refuse(path, read):
    try:
        read(path)
    except (InputError, OperationalError) as error:
        message = error.message
        assert "\n" not in message
        assert len(message) <= LONGEST_MESSAGE
        assert path.name in message
    assert [other.name for other in path.parent.iterdir() if other.name.endswith(".tmp")] == []


@settings(max_examples=2, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_predict_on_damaged_features_does_the_others(folder, data):
    root = folder / "predict"
    shutil.rmtree(root, ignore_errors=True)
    (root / "features").mkdir(parents=True)
    whole = written(np.save, VIDEO)
    (root / "m.onnx").write_bytes(graph_file(PLAIN))
    (root / "features/whole.npy").write_bytes(whole)
    for number in range(6):
        content = data.draw(damaged_npy(whole) | damaged(whole))
        (root / f"features/damaged{number}.npy").write_bytes(content)
    out = root / "out"
    arguments = ["predict", "--model", str(root / "m.onnx"), "--features", str(root / "features")]
    done = CliRunner().invoke(app, [*arguments, "--output", str(out), "--device", "cpu"])
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == bool(done.exit_code)
    videos = {path.stem for path in out.glob("*.txt")}
    assert "whole" in videos
    with (out / "segments.csv").open(newline="", encoding="utf-8") as table:
        ends = {row["video"]: int(row["end_frame"]) for row in csv.DictReader(table)}
    assert ends == {name: len((out / f"{name}.txt").read_text().splitlines()) for name in videos}
    assert list(out.glob("*.tmp")) == []
