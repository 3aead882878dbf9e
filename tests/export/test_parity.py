from __future__ import annotations

import numpy as np
import pytest

from g2l.errors import OperationalError
from g2l.export.parity import _check, check_lengths, compare
from g2l.structure import DilationStructure


def test_lengths_cover_one_frame_less_than_the_rate_more_than_it_and_a_batch():
    assert check_lengths(DilationStructure(((1, 512), (4, 8)))) == ((1, 1), (1, 511), (1, 1029), (2, 515))
    assert check_lengths(DilationStructure(((1,),))) == ((1, 1), (1, 2), (1, 7), (2, 4))


def test_a_check_looks_at_valid_frames_only():
    expected = np.zeros((1, 2, 3), np.float32)
    expected[:, 0] = 1
    found = expected.copy()
    found[0, :, 1] = (0.25, 0.75)
    check = _check(found, expected, np.array([[True, True, False]]))
    assert (check.max_difference, check.agreement) == (0.75, 50.0)
    assert _check(found, expected, np.array([[True, False, True]])).max_difference == 0


def test_nan_is_a_difference():
    expected = np.ones((1, 2, 3), np.float32)
    check = _check(expected * np.nan, expected, np.ones((1, 3), bool))
    assert np.isnan(check.max_difference)


def test_a_file_that_onnxruntime_cannot_load_is_told_in_one_line(tmp_path, network):
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(OperationalError, match=r"onnxruntime cannot load the export: [^\n]*$"):
        compare(tmp_path / "bad.onnx", network, DilationStructure(((1,),)), feature_dim=6, frame_mask=False)
