"""How long the exported network of a structure takes."""

from __future__ import annotations

import logging
import time

import numpy as np

from g2l.config import BackboneConfig
from g2l.errors import G2LError
from g2l.export.onnx_export import DeployedNetwork, exported_proto
from g2l.export.parity import open_runner
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure

FRAMES, REPEATS = 1000, 5

_log = logging.getLogger("g2l")


def latency(
    backbone: BackboneConfig, structure: DilationStructure, *, feature_dim: int, num_classes: int
) -> float | None:
    """Return the milliseconds that onnxruntime takes for 1,000 frames on the CPU: the best of five runs.

    Weights do not matter. It is None, with a warning, for a network that cannot be exported.
    """
    network = build_backbone(backbone, structure, feature_dim=feature_dim, num_classes=num_classes)
    features = np.random.default_rng(0).standard_normal((1, feature_dim, FRAMES)).astype(np.float32)
    taken = []
    try:
        proto = exported_proto(DeployedNetwork(network).eval(), feature_dim)
        run = open_runner(proto.SerializeToString())
        for _ in range(REPEATS):
            started = time.perf_counter()
            run({"features": features})
            taken.append(time.perf_counter() - started)
    except G2LError as error:
        _log.warning("the latency of %s cannot be measured: %s", structure, error)
        return None
    return 1000 * min(taken)
