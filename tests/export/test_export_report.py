from __future__ import annotations

import pytest

from g2l.errors import OperationalError
from g2l.export.parity import ParityCheck
from g2l.export.report import ExportReport, Precision


def report_of(difference, agreement, precision, tmp_path):
    checks = (ParityCheck(1, 1, 0.0, 100.0), ParityCheck(2, 50, difference, agreement))
    return ExportReport(tmp_path / "model.onnx", 20, precision, checks)


@pytest.mark.parametrize(
    ("difference", "agreement", "precision", "message"),
    [
        (2e-4, 100.0, Precision.FP32, r"the export differs from torch by 0.0002, more than 1e-04"),
        (float("nan"), 100.0, Precision.FP32, "the network or its export gives NaN"),
        (1e-3, 95.0, Precision.FP16, r"the fp16 export keeps 95.0 % of torch's labels, less than 99 %"),
    ],
)
def test_an_export_that_differs_is_refused(difference, agreement, precision, message, tmp_path):
    with pytest.raises(OperationalError, match=message):
        report_of(difference, agreement, precision, tmp_path).require_parity()


def test_half_precision_may_differ_where_labels_agree(tmp_path):
    report_of(1e-3, 99.5, Precision.FP16, tmp_path).require_parity()


def test_a_report_sums_up_its_checks(tmp_path):
    report = report_of(2e-5, 98.0, Precision.FP32, tmp_path)
    assert report.max_difference == 2e-5
    assert report.agreement == pytest.approx((100 + 98 * 100) / 101)
