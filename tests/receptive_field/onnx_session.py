"""Networks as onnxruntime runs their export."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

LENGTH = {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames")}


def exported(network: nn.Module, x: Tensor) -> Callable[[Tensor], list[np.ndarray]]:
    """Export a network for inputs like `x`, and return what onnxruntime computes: tensor in, outputs out.

    The batch is dynamic, and so is the length of what has one axis.
    """
    logging.getLogger("torch.onnx").setLevel(logging.CRITICAL)
    dynamic = LENGTH if x.dim() == 3 else {0: LENGTH[0]}
    program = torch.onnx.export(
        network, (x,), dynamo=True, external_data=False, dynamic_shapes=(dynamic,), verbose=False
    )
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values.numpy()})
