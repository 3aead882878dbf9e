"""What the stages import at their first use, so that the processes of `test_pipeline_kill` need not."""

from __future__ import annotations

import matplotlib.figure
import networkx
import onnx.reference
import onnxruntime
import onnxscript.function_libs.torch_lib
import onnxscript.rewriter
import sklearn.model_selection
import torch._dynamo
import torch._inductor.decomposition
import torch.export
import torch.onnx._internal.exporter._core

from tests.pipeline.tiny_pipeline import run_stage

__all__ = ["matplotlib", "networkx", "onnx", "onnxruntime", "onnxscript", "run_stage", "sklearn", "torch"]
