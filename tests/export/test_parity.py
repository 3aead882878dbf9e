from __future__ import annotations

import numpy as np
import pytest
import torch

from g2l.errors import OperationalError
from g2l.export import parity
from g2l.export.parity import check_lengths, compare
from g2l.structure import DilationStructure


def test_lengths_cover_one_frame_less_than_the_rate_more_than_it_and_a_batch():
    assert check_lengths(DilationStructure(((1, 512), (4, 8)))) == ((1, 1), (1, 511), (1, 1029), (2, 515))


@pytest.mark.parametrize(("value", "frame"), [(5.0, 0), (np.nan, 0), (5.0, -1)])
def test_valid_frames_are_compared_and_no_others(metadata, monkeypatch, value, frame):
    """The second video of a batch is padded: what the export gives there does not count."""

    class Network(torch.nn.Module):
        def forward(self, features, mask):
            return features * mask

    def run(inputs):
        found = inputs["features"] * inputs["frame_mask"]
        found[-1, 0, frame] += value if len(found) == 2 else 0
        return found

    monkeypatch.setattr(parity, "open_runner", lambda model: run)
    found = compare(b"", Network(), metadata, frame_mask=True)
    expected = 0.0 if frame == -1 else value
    np.testing.assert_allclose(found.max_difference, expected, rtol=1e-5)


def test_a_file_that_onnxruntime_cannot_load_is_told_in_one_line(tmp_path, metadata, network):
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(OperationalError, match=r"onnxruntime cannot load the export: [^\n]*$"):
        compare(tmp_path / "bad.onnx", network, metadata, frame_mask=False)
