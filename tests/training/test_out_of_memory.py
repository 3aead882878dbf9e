"""A batch that memory does not hold is halved once, and its gradient is that of the whole."""

from __future__ import annotations

import logging

import pytest
import torch

from g2l.config import Budget, Selection
from g2l.errors import OperationalError
from tests.training.tiny_training import RECIPE, Recorder, tiny_fit, tiny_model


class Memory:
    """Lets a model compute a step for so many videos at once."""

    def __init__(self, monkeypatch, model, videos):
        self.sizes = []
        forward = model.forward

        def limited(features, frame_mask=None):
            self.sizes.append(len(features))
            if model.training and len(features) > videos:
                torch.rand(1)  # as the layers before the one that does not fit do
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(features, frame_mask)

        monkeypatch.setattr(model, "forward", limited)


def gradients(model, **options):
    """Return the gradient that each step left, flat."""
    found = []

    def note(event, state):
        if event[0] == "step":
            found.append(torch.cat([weight.grad.flatten() for weight in state.model.parameters()]))

    _, result = tiny_fit(model, callbacks=[Recorder(note)], **options)
    return found, [record.loss for record in result.history]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if "too little memory" in record.getMessage()]


def test_halves_have_the_gradient_of_the_whole(monkeypatch, caplog):
    """Without dropout, whose coins fall otherwise; weights drift apart by rounding only."""
    recipe = RECIPE.replace(batch_size=3, epochs=2)
    expected, losses = gradients(tiny_model(dropout=0.0), recipe=recipe)
    model = tiny_model(dropout=0.0)
    memory = Memory(monkeypatch, model, videos=2)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        found, of_halves = gradients(model, recipe=recipe)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert of_halves == pytest.approx(losses, rel=1e-5)
    assert {2, 1} < set(memory.sizes)
    (warning,) = warnings(caplog)[:1]
    assert warning.startswith("epoch 1, step 1, videos video")
    assert "batches of this size are halved from now on" in warning


def test_what_did_not_fit_once_is_not_tried_again(monkeypatch, caplog):
    recipe = RECIPE.replace(batch_size=6, epochs=3)  # one batch, always the same
    model = tiny_model()
    memory = Memory(monkeypatch, model, videos=3)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        tiny_fit(model, recipe=recipe)
    assert [size for size in memory.sizes if size > 1] == [6, 3, 3, 3, 3, 3, 3]
    assert len(warnings(caplog)) == 1


def test_a_training_that_was_stopped_goes_on_with_halves(monkeypatch, tmp_path):
    """Another try of the whole would take coins of dropout that the uninterrupted training does not take."""
    recipe = RECIPE.replace(batch_size=6, selection=Selection.LAST)
    weights = []
    for stops in ((12,), (2, 12)):
        for stop in stops:
            model = tiny_model()
            memory = Memory(monkeypatch, model, videos=3)
            path = tmp_path / f"{len(stops)}.ckpt"
            tiny_fit(model, recipe=recipe, budget=Budget(stop, "steps"), checkpoint=path, resume=True)
        weights.append(torch.cat([weight.flatten() for weight in model.parameters()]))
    assert 6 not in memory.sizes
    assert torch.equal(*weights)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_halves_that_do_not_fit_are_told_with_what_to_do(monkeypatch, batch_size):
    model = tiny_model()
    Memory(monkeypatch, model, videos=0)
    expected = r"epoch 1, step 1, videos .*: cpu has too little memory"
    with pytest.raises(OperationalError, match=expected) as caught:
        tiny_fit(model, recipe=RECIPE.replace(batch_size=batch_size))
    assert "lower the batch size" in caught.value.hint
