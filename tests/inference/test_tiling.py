from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import BackboneConfig, Normalization
from g2l.errors import InputError, OperationalError
from g2l.export.onnx_export import export_onnx
from g2l.export.precision import Video, half, quantized
from g2l.inference import tiling
from g2l.inference.devices import Device
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.sessions import TorchSession, open_session
from g2l.inference.tiling import Capacity, Tile, cut, parse_size, plan_capacity
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.receptive_field import Ending, convert, describe, finish
from g2l.structure import DilationStructure, ReceptiveField

BACKBONES = {
    "ms-tcn": BackboneConfig(feature_maps=4),
    "causal ms-tcn": BackboneConfig(feature_maps=4, causal=True),
    "ms-tcn++": BackboneConfig(name="ms-tcn++", feature_maps=4),
    "causal ms-tcn++": BackboneConfig(name="ms-tcn++", feature_maps=4, causal=True),
}
"""Every backbone that can be tiled is tested by a line here."""
DIM, CLASSES = 3, ("a", "b", "c", "d")


def random_network(backbone, structure, seed):
    """One whose labels change from frame to frame: new ones hardly look at their input."""
    torch.manual_seed(seed)
    network = build_backbone(backbone, structure, feature_dim=DIM, num_classes=len(CLASSES))
    with torch.no_grad():
        for weights in network.parameters():
            weights *= 2
    return network


@st.composite
def models(draw, backbone):
    """Session of a random network of random rates, of one each or with what a search may leave in a layer."""
    rates = [
        tuple(draw(st.integers(1, 9)) for _ in range(layers))
        for layers in backbone.hand_designed((3, 1, 2)).shape
    ]
    structure = DilationStructure(tuple(rates))
    network = random_network(backbone, structure, draw(st.integers(0, 99)))
    ending = draw(st.sampled_from(Ending))
    if ending is not Ending.SINGLE:
        convert(network, max_rate=12, expansion_rate=0.5, branches=draw(st.sampled_from([2, 3])))
        finish(network, ending)
    kind = draw(st.sampled_from(Normalization))
    statistics = {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 0.5)} if kind is Normalization.TRAIN else {}
    metadata = ModelMetadata(
        structure=structure,
        backbone=backbone,
        classes=CLASSES,
        feature_dim=DIM,
        sample_rate=draw(st.integers(1, 3)),
        normalize=kind,
        layers={} if ending is Ending.SINGLE else describe(network),
        **statistics,
    )
    return TorchSession(network, metadata, Device.CPU)


def tiled(session, frames, **options):
    """A predictor that computes so many frames at once."""
    predictor = Predictor(session, **options)
    predictor._capacity = replace(predictor._capacity, frames=frames, kept_bytes=0)
    return predictor


@pytest.mark.parametrize("name", BACKBONES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_tiled_is_untiled(name, tmp_path_factory, data):
    session = data.draw(models(BACKBONES[name]))
    reach = tiling.known_receptive_field(session.metadata)
    frames = reach.frames - 1 + data.draw(st.integers(1, 60))
    values = np.random.default_rng(0).standard_normal((data.draw(st.integers(1, 400)), DIM)).astype("f4") * 3
    path = tmp_path_factory.mktemp("tiled") / "v.npy"
    np.save(path, values if data.draw(st.booleans()) else values.T)
    (whole,) = Predictor(session).predict([path])
    (found,) = tiled(session, frames).predict([path])
    np.testing.assert_allclose(found.probabilities, whole.probabilities, rtol=0, atol=1e-6)
    second, first = np.sort(whole.probabilities, axis=0)[-2:]
    clear = first - second > 2e-6  # torch sums in another order for another length
    np.testing.assert_array_equal(found.labels[clear], whole.labels[clear])


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    """Tiles of a few frames, and statistics taken of a few at a time, however little use that is."""
    patch = pytest.MonkeyPatch()
    patch.setattr(tiling, "_SMALLEST", 1)
    patch.setattr("g2l.datasets.normalize.BLOCK_FRAMES", 16)
    patch.setattr("g2l.inference.loading.BLOCK_FRAMES", 16)
    yield
    patch.undo()


def test_onnxruntime_gives_the_same_tiled_as_far_as_its_numbers_go(tmp_path):
    session = random_session(DilationStructure(((2, 5), (3, 1))))
    export_onnx(session._model, session.metadata, tmp_path / "fp32.onnx")
    values = np.random.default_rng(1).standard_normal((DIM, 900), np.float32)
    np.save(tmp_path / "v.npy", values)
    proto = onnx.load(tmp_path / "fp32.onnx")
    onnx.save(half(proto), tmp_path / "fp16.onnx")
    onnx.save(quantized(proto, [Video("v", lambda: values)], frame_mask=False)[0], tmp_path / "int8.onnx")
    for precision, tolerance in (("fp32", 1e-6), ("fp16", 1e-3), ("int8", 1e-6)):
        exported = open_session(tmp_path / f"{precision}.onnx", "cpu", 1)
        (whole,) = Predictor(exported).predict([tmp_path / "v.npy"])
        (found,) = tiled(exported, 70).predict([tmp_path / "v.npy"])
        np.testing.assert_allclose(found.probabilities, whole.probabilities, rtol=0, atol=tolerance)
        second, first = np.sort(whole.probabilities, axis=0)[-2:]
        clear = first - second > (2 * tolerance if precision == "fp16" else 0)
        np.testing.assert_array_equal(found.labels[clear], whole.labels[clear])


def random_session(structure, **changes):
    backbone = BackboneConfig(feature_maps=4)
    network = random_network(backbone, structure, 0)
    metadata = ModelMetadata(structure=structure, backbone=backbone, classes=CLASSES, feature_dim=DIM)
    return TorchSession(network, replace(metadata, **changes), Device.CPU)


def test_a_tile_that_cannot_be_read_gives_its_video_up_and_no_other(tmp_path):
    session = random_session(DilationStructure(((2, 5),)))
    values = np.random.default_rng(1).standard_normal((DIM, 300), np.float32)
    for name in ("a", "b", "c"):
        np.save(tmp_path / f"{name}.npy", values)
    values[1, 200] = np.nan
    np.save(tmp_path / "b.npy", values)
    first, second, third = tiled(session, 50).predict([tmp_path])
    assert isinstance(second, VideoFailure)
    assert "row 1 of frame 200 is nan" in second.error.message
    np.testing.assert_array_equal(first.labels, third.labels)


def test_no_room_for_probabilities_gives_the_video_up(tmp_path, monkeypatch):
    session = random_session(DilationStructure(((2, 5),)))
    np.save(tmp_path / "long.npy", np.zeros((DIM, 90), np.float32))
    np.save(tmp_path / "short.npy", np.zeros((DIM, 9), np.float32))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    long, short = tiled(session, 30, folder=tmp_path).predict([tmp_path])
    assert "cannot write (No space left on device)" in long.error.message
    assert len(short.labels) == 9


def test_a_network_that_sees_everything_says_what_it_would_need(tmp_path):
    structure = DilationStructure(((2, 5),))
    custom = BackboneConfig(name="some.module:factory", stages=1, layers=2, feature_maps=4)
    asformer = replace(custom, name="asformer")
    np.save(tmp_path / "v.npy", np.zeros((DIM, 10**6), np.float32))
    for backbone in (custom, asformer):
        predictor = tiled(random_session(structure, backbone=backbone), 10**5)
        predictor._capacity = replace(predictor._capacity, frame_bytes=900, base_bytes=10**8)
        (result,) = predictor.predict([tmp_path / "v.npy"])
        assert isinstance(result.error, OperationalError)
        assert f"v.npy: needs about 1.0 GB, since the labels of {backbone.name} depend on the whole" in (
            result.error.message
        )
        assert "--max-memory" in result.error.hint


@given(
    frames=st.integers(1, 500), past=st.integers(0, 40), future=st.integers(0, 40), own=st.integers(1, 100)
)
def test_tiles_keep_each_frame_once_and_read_what_it_depends_on(frames, past, future, own):
    tiles = cut(frames, ReceptiveField(past, future), own)
    assert [frame for tile in tiles for frame in range(tile.start, tile.stop)] == list(range(frames))
    for tile in tiles:
        assert 0 < tile.stop - tile.start <= own
        assert (tile.first, tile.last) == (max(0, tile.start - past), min(frames, tile.stop + future))
        assert list(range(tile.first, tile.last))[tile.kept] == list(range(tile.start, tile.stop))
    assert len({tile.stop - tile.start for tile in tiles[:-1]}) <= 1


def test_memory_decides_how_much_is_computed_at_once(metadata, monkeypatch):
    monkeypatch.setattr(tiling, "resident_memory", lambda: 100 * 10**6)
    wide = replace(metadata, feature_dim=10**4)
    frame = 4 * (2 * 10**4 + 16 * 8 + 8 * 3)
    given = plan_capacity(wide, 10**9)
    assert (given.frame_bytes, given.frames) == (frame, (10**9 - 500 * 10**6) // frame)
    assert (given.kept_bytes, given.receptive_field) == (2 * (8 + 4 * 3), ReceptiveField(5, 5))
    whole = replace(wide, backbone=replace(wide.backbone, name="asformer"))
    for free, tiled, at_once in [
        ((10 * frame, 10**13), 1024, 1024),
        ((10**9, 10**13), 5 * 10**8 // frame, 9 * 10**8 // frame),
        ((10**12, 10**13), 4 * 10**9 // frame, 9 * 10**11 // frame),
        (None, 2 * 10**9 // frame, 36 * 10**8 // frame),
    ]:
        monkeypatch.setattr(tiling, "usable_memory", lambda free=free: free)
        assert plan_capacity(wide).frames == tiled
        assert plan_capacity(whole).frames == at_once
    assert plan_capacity(metadata).frames == 262_144
    with pytest.raises(InputError, match=r"`max_memory` must be >= 501 MB for this model, but is 100 MB"):
        plan_capacity(metadata, 10**8)


def test_a_video_is_left_whole_where_it_fits_and_refused_where_no_tile_does(monkeypatch):
    monkeypatch.setattr(tiling, "_SMALLEST", 1)
    sizes = {"frame_bytes": 1000, "kept_bytes": 0, "base_bytes": 0}
    capacity = Capacity(frames=100, receptive_field=ReceptiveField(40, 10), backbone="ms-tcn", **sizes)
    assert capacity.tiles(100) == (Tile(0, 0, 100, 100),)
    assert capacity.tiles(101) == (Tile(0, 0, 34, 44), Tile(0, 34, 68, 78), Tile(28, 68, 101, 101))
    costly = replace(capacity, receptive_field=ReceptiveField(2, 2), kept_bytes=10)
    assert max(tile.stop - tile.start for tile in costly.tiles(950)) == 95 - 9 + 1
    assert max(tile.stop - tile.start for tile in costly.tiles(10**6)) == 50 - 4
    monkeypatch.setattr(tiling, "_SMALLEST", 51)
    with pytest.raises(OperationalError, match=r"needs about \d+ kB, since ms-tcn sees 51 frames"):
        capacity.tiles(101)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2 gb", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("800M", 8 * 10**8),
        (" 4096 ", 4096),
    ],
)
def test_sizes_in_every_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2XB", "1e9", "0.4", "nan", "٣GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="`max_memory` must be a size such as 2GB or 800MiB, but is"):
        parse_size(text)
