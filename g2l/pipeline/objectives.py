"""What a structure costs: the second objective of a search, and whether structures differ in it at all."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from statistics import median

import torch

from g2l.config import BackboneConfig
from g2l.errors import InputError, brief
from g2l.export.latency import LatencyMeter
from g2l.export.rewriting import RewritableExport
from g2l.files import read_json, write_json
from g2l.inference.devices import parse_device, plan_providers
from g2l.models.registry import build_backbone
from g2l.models.size import count_flops, count_parameters
from g2l.search.space import SearchSpace
from g2l.search_config import SecondObjective
from g2l.structure import DilationStructure

ROUNDS = 5
"""Measurements of each of a few structures, taken in turns, that tell differences from noise."""


class StructureCost:
    """The second objective of a search; lower is better.

    Before the first call a few structures of the space that differ as much as any are measured. Where they
    differ by no more than one of them does from measurement to measurement, every structure gets the same
    cost, so that the search has one objective and no front is made of noise; `remark` says so.

    Args:
        objective: What is measured.
        backbone: The network.
        space: Structures that will be asked for.
        feature_dim: D.
        num_classes: C.
        frames: Length of the video that FLOPs and latency are told for.
        device: What latency is measured on: `auto`, `cpu`, `cuda` or `tensorrt`.
        memory: File that keeps measured latencies, so that a resumed search finds the same ones.

    Raises:
        InputError: The device is unknown or absent.
    """

    def __init__(
        self,
        objective: SecondObjective,
        backbone: BackboneConfig,
        space: SearchSpace,
        *,
        feature_dim: int,
        num_classes: int,
        frames: int,
        memory: Path,
        device: str = "cpu",
    ) -> None:
        self.objective = objective
        self._backbone = backbone
        self._space = space
        self._feature_dim = feature_dim
        self._num_classes = num_classes
        self._frames = frames
        self._plan = plan_providers(parse_device(device))
        self._memory = memory
        self._measured: dict[str, list[float]] = read_latencies(memory) if memory.exists() else {}

    @property
    def label(self) -> str:
        """The objective with its unit, for a column or an axis."""
        return {
            SecondObjective.RECEPTIVE_FIELD: "receptive field (frames)",
            SecondObjective.LOOK_AHEAD: "look-ahead (frames)",
            SecondObjective.PARAMETERS: "parameters",
            SecondObjective.FLOPS: f"FLOPs of {self._frames} frames",
            SecondObjective.LATENCY: f"latency of {self._frames} frames (ms)",
        }[self.objective]

    @property
    def remark(self) -> str | None:
        """A sentence where structures do not differ, else None."""
        if self._differ:
            return None
        values = [value for taken in self._probes.values() for value in taken]
        if min(values) == max(values):
            reason = f"all structures have the same {self.label}, {values[0]:,.6g}"
        else:
            reason = (
                f"{self.label} is {min(values):.4g} to {max(values):.4g} whatever the rates, "
                "which is the noise of measuring"
            )
        return f"{reason}: a front by {self.objective} has one member, the fittest structure."

    def __call__(self, structure: DilationStructure) -> float:
        """Return the cost of a structure; the same at every call.

        Raises:
            OperationalError: Its latency cannot be measured.
        """
        if not self._differ:
            return median(next(iter(self._probes.values())))
        cost = median(self._values(structure, 1))
        # What is closer together than two measurements of one structure is alike.
        return round(cost / self._noise) * self._noise if self._noise else cost

    @cached_property
    def _probes(self) -> dict[DilationStructure, list[float]]:
        """Measurements of the structures with the smallest and the largest rates and of the hand-designed."""
        genes = self._space.genes
        extremes = [
            self._space.from_rates([rate] * genes) for rate in (self._space.rates[0], self._space.rates[-1])
        ]
        probes = dict.fromkeys([self._space.project(self._backbone.hand_designed()), *extremes])
        for count in range(1, ROUNDS + 1):
            for structure in probes:
                self._values(structure, count)
        return {structure: self._values(structure, ROUNDS) for structure in probes}

    @cached_property
    def _differ(self) -> bool:
        middles = [median(values) for values in self._probes.values()]
        return max(middles) - min(middles) > self._noise

    @cached_property
    def _noise(self) -> float:
        return max(max(values) - min(values) for values in self._probes.values())

    def _values(self, structure: DilationStructure, count: int) -> list[float]:
        """Return at least `count` measurements, taken now where they are not known."""
        if self.objective is not SecondObjective.LATENCY:
            return [self._count(structure)]
        known = self._measured.setdefault(structure.key, [])
        while len(known) < count:
            known.append(self._meter.measure(structure).milliseconds)
            write_json(self._memory, self._measured)
        return known

    @cached_property
    def _meter(self) -> LatencyMeter:
        export = RewritableExport(self._build, self._space.shape, feature_dim=self._feature_dim)
        return LatencyMeter(
            export, feature_dim=self._feature_dim, frames=self._frames, providers=self._plan.providers
        )

    def _count(self, structure: DilationStructure) -> float:
        if self.objective in (SecondObjective.RECEPTIVE_FIELD, SecondObjective.LOOK_AHEAD):
            return float(self._frames_seen(structure))
        with torch.device("meta"):  # shapes are enough
            network = self._build(structure)
        if self.objective is SecondObjective.PARAMETERS:
            return float(count_parameters(network))
        return float(count_flops(network, feature_dim=self._feature_dim, frames=self._frames))

    def _frames_seen(self, structure: DilationStructure) -> int:
        """Return receptive field or look-ahead, up to all frames where the network sees the whole video."""
        topology, ahead = self._backbone.topology, self.objective is SecondObjective.LOOK_AHEAD
        if topology.whole_video:
            return self._frames - ahead
        reach = topology.receptive_field(structure)
        return reach.future if ahead else reach.frames

    def _build(self, structure: DilationStructure) -> torch.nn.Module:
        return build_backbone(
            self._backbone, structure, feature_dim=self._feature_dim, num_classes=self._num_classes
        )


def read_latencies(path: Path) -> dict[str, list[float]]:
    """Return the measurements that `StructureCost` keeps: milliseconds by structure.

    Raises:
        InputError: The file is not one of these.
    """
    value = read_json(path)
    entries = value.items() if isinstance(value, dict) else [("", None)]
    for key, taken in entries:
        if not isinstance(taken, list) or not taken or not all(isinstance(time, float) for time in taken):
            raise InputError(
                f"{path}: expected a list of milliseconds for each structure, but {brief(key)!r} has none."
            )
    return dict(entries)
