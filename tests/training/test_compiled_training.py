from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.errors import OperationalError
from g2l.kernels.dropout import Dropout
from tests.training.tiny_training import RECIPE, tiny_fit, tiny_model


@pytest.fixture
def compiled(monkeypatch):
    """Let networks be compiled without a C++ compiler, and tell how they were asked to be."""
    asked = []
    compile_module = nn.Module.compile

    def compile_eagerly(module, **options):
        asked.append(options)
        torch._dynamo.reset()
        compile_module(module, backend="eager", **options)

    monkeypatch.setattr(nn.Module, "compile", compile_eagerly)
    return asked


def test_a_compiled_training_is_asked_for_and_gives_nearly_the_same_weights(compiled):
    plain, model = tiny_model(), tiny_model()
    for layer in (*plain.modules(), *model.modules()):
        if isinstance(layer, Dropout):
            layer.p = 0.0  # whose masks differ in a compiled network
    tiny_fit(plain)
    assert not compiled
    tiny_fit(model, RECIPE.replace(compile=True))
    assert compiled == [{"dynamic": True}]
    assert list(model.state_dict()) == list(plain.state_dict())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_network_that_cannot_be_compiled_is_told_in_one_line(monkeypatch):
    def fail(module, **options):
        def call(*args, **kwargs):
            raise torch._dynamo.exc.TorchRuntimeError("no compiler\nand a page more")

        module._compiled_call_impl = call

    monkeypatch.setattr(nn.Module, "compile", fail)
    with pytest.raises(OperationalError, match=r"^torch\.compile cannot compile \w+: no compiler$") as caught:
        tiny_fit(recipe=RECIPE.replace(compile=True))
    assert "--compile" in caught.value.hint
