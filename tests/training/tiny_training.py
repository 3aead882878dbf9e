"""A training of some milliseconds, shared by the tests and by the subprocess that they kill.

Run as a script it trains until the named point and kills itself there: no handler, no clean-up.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from g2l.config import RecipeConfig
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import Video
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure
from g2l.training.loop import fit

CLASSES, FEATURE_DIM = 3, 4
NAMES = tuple(f"video{number}" for number in range(6))
STEPS_PER_EPOCH = 3
RECIPE = RecipeConfig(epochs=4, batch_size=2, learning_rate=5e-3, monitor="accuracy", decay_epoch=3)


class Videos:
    """Six videos whose features tell the class, more or less."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.videos = {}
        for name in NAMES:
            targets = np.repeat(generator.integers(0, CLASSES, 4), generator.integers(3, 9, 4)).astype(
                np.int64
            )
            features = generator.normal(size=(FEATURE_DIM, len(targets))).astype(np.float32)
            features[0] += targets
            self.videos[name] = Video(name, features, targets)

    def load(self, name):
        return self.videos[name]

    def num_frames(self, name):
        return len(self.videos[name].targets)

    def evaluate(self, model):
        model.eval()
        with torch.inference_mode():
            right = [
                (
                    model(torch.from_numpy(video.features)[None])[-1, 0].argmax(0).numpy() == video.targets
                ).mean()
                for video in self.videos.values()
            ]
        model.train()
        return {"accuracy": 100 * np.mean(right)}


class Recorder:
    """A callback that notes the calls and acts at one of them."""

    def __init__(self, act=lambda event, state: None):
        self.calls = []
        self.act = act

    def on_step_end(self, state):
        self.calls.append(("step", state.step))
        self.act(self.calls[-1], state)

    def on_epoch_end(self, state, metrics):
        self.calls.append(("epoch", state.epoch))
        self.act(self.calls[-1], state)

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, saved, state):
        self.calls = saved["calls"]


def tiny_model(seed=0, rates=((1, 2), (1, 2)), **options):
    torch.manual_seed(seed)
    structure = DilationStructure(rates)
    return MSTCN(structure, feature_dim=FEATURE_DIM, num_classes=CLASSES, feature_maps=8, **options)


def tiny_fit(model=None, recipe=RECIPE, *, seed=0, scored=True, **options):
    """Return the model and the result of a training."""
    model = model or tiny_model()
    videos = Videos()
    source = BatchSource(videos, NAMES, batch_size=recipe.batch_size, seed=seed)
    options.setdefault("evaluate", videos.evaluate if scored else None)
    result = fit(model, source, recipe, seed=seed, device=torch.device("cpu"), **options)
    return model, result


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_in_epoch_3(event, state):
    if event == ("step", 2 * STEPS_PER_EPOCH + 2):
        _kill()


def _kill_in_third_write():
    write, writes = Path.write_bytes, []

    def torn(path, content):
        writes.append(path)
        write(path, content)
        if len(writes) == 3:
            os.truncate(path, path.stat().st_size // 2)
            _kill()

    Path.write_bytes = torn


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, point = Path(sys.argv[1]), sys.argv[2]
    if point == "write":
        _kill_in_third_write()
    act = _kill_in_epoch_3 if point == "step" else lambda event, state: None
    tiny_fit(callbacks=[Recorder(act)], checkpoint=folder / "last.ckpt")
