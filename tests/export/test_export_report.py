from __future__ import annotations

import pytest

from g2l.errors import OperationalError
from g2l.export.parity import ParityCheck
from g2l.export.precision import Precision
from g2l.export.report import ExportReport


def report_of(difference, agreement, tmp_path):
    checks = (ParityCheck(1, 1, 0.0, 100.0), ParityCheck(2, 50, difference, agreement))
    return ExportReport(tmp_path / "model.onnx", 20, checks)


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        (2e-4, r"the export differs from torch by 0.0002, more than 1e-04"),
        (float("nan"), "the network or its export gives NaN"),
    ],
)
def test_an_export_that_differs_is_refused(difference, message, tmp_path):
    with pytest.raises(OperationalError, match=message):
        report_of(difference, 100.0, tmp_path).require_parity()


def test_a_report_sums_up_its_checks(tmp_path):
    report = report_of(2e-5, 98.0, tmp_path)
    report.require_parity()
    assert report.max_difference == 2e-5
    assert report.agreement == pytest.approx((100 + 98 * 100) / 101)
    assert report.precision is Precision.FP32
