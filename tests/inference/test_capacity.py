from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError, OperationalError
from g2l.inference import tiling
from g2l.inference.tiling import Capacity, Tile, cut, plan_capacity
from g2l.structure import ReceptiveField


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
    with pytest.raises(OperationalError, match=r"needs about 0 MB, since ms-tcn sees 51 frames"):
        capacity.tiles(101)
