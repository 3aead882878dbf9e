"""What holds for every backbone, causal or not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from g2l.config import FAMILIES, BackboneConfig
from g2l.models.artifact import load_model, save_model
from g2l.models.metadata import ModelMetadata
from g2l.models.rates import AdjustableRates
from g2l.models.registry import BACKBONES, build_backbone
from g2l.structure import DilationStructure

VARIANTS = [("ms-tcn", False), ("ms-tcn", True), ("ms-tcn++", False), ("ms-tcn++", True)]
"""Of those that see no further than their convolutions."""
every_variant = pytest.mark.parametrize(("name", "causal"), VARIANTS)
every_backbone = pytest.mark.parametrize(("name", "causal"), [*VARIANTS, ("asformer", False)])
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def config_of(name, causal, size=(2, 2, 3)):
    stages, layers, prediction_layers = size
    own = {"prediction_layers": prediction_layers} if name == "ms-tcn++" else {}
    return BackboneConfig(
        name=name, stages=stages, layers=layers, feature_maps=4, causal=causal, **own
    ).validate()


@st.composite
def sized(draw, largest=9):
    """Return what makes a configuration of a backbone, and the rates of as many stages as there may be."""
    return draw(SIZES), draw(st.lists(st.integers(1, largest), min_size=12, max_size=12))


def structure_of(config, rates):
    return DilationStructure.from_rates(rates[: sum(config.shape)], config.shape)


def network(config, structure):
    torch.manual_seed(0)
    return build_backbone(config, structure, feature_dim=3, num_classes=4).double().eval()


def test_all_names_are_in_the_settings_too():
    assert BACKBONES.keys() == FAMILIES.keys()
    assert {name for name, _ in VARIANTS} == {
        name for name, family in FAMILIES.items() if not family.whole_video
    }


@every_variant
@settings(max_examples=25, deadline=None)
@given(size_and_rates=sized())
def test_a_network_sees_exactly_what_its_topology_says(name, causal, size_and_rates):
    size, rates = size_and_rates
    config = config_of(name, causal, size)
    structure = structure_of(config, rates)
    model = network(config, structure)
    # No ReLU is closed and nothing cancels where all weights and inputs are positive.
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)
    reach = config.topology.receptive_field(structure)
    middle = reach.past + 3
    features = torch.rand(1, 3, middle + reach.future + 4, dtype=torch.float64, requires_grad=True)
    model(features)[-1, 0, 1, middle].backward()
    seen = features.grad[0].abs().sum(0).nonzero().flatten()
    assert (middle - seen.min(), seen.max() - middle) == (reach.past, reach.future)


@pytest.mark.parametrize("name", ["ms-tcn", "ms-tcn++"])
@settings(max_examples=25, deadline=None)
@given(size_and_rates=sized(), frame=st.integers(0, 18))
def test_no_later_frame_changes_a_bit_of_a_causal_network(name, size_and_rates, frame):
    size, rates = size_and_rates
    config = config_of(name, True, size)
    model = network(config, structure_of(config, rates))
    features = torch.randn(2, 3, 20, dtype=torch.float64)
    changed = features.clone()
    changed[..., frame + 1 :] = torch.randn(2, 3, 19 - frame, dtype=torch.float64) * 100
    with torch.no_grad():
        logits, others = model(features), model(changed)
    assert torch.equal(logits[..., : frame + 1], others[..., : frame + 1])
    assert not torch.equal(logits, others)


@every_backbone
@settings(max_examples=25, deadline=None)
@given(
    size_and_rates=sized(),
    frames=st.integers(1, 20),
    padding=st.integers(1, 20),
    garbage=st.sampled_from([0.0, 1.0, -50.0]),
)
def test_padding_changes_no_valid_frame(name, causal, size_and_rates, frames, padding, garbage):
    size, rates = size_and_rates
    config = config_of(name, causal, size)
    model = network(config, structure_of(config, rates))
    video = torch.randn(1, 3, frames, dtype=torch.float64)
    longer = torch.randn(1, 3, frames + padding, dtype=torch.float64)
    batch = torch.cat([functional.pad(video, (0, padding), value=garbage), longer])
    frame_mask = torch.ones(2, 1, frames + padding, dtype=torch.float64)
    frame_mask[0, :, frames:] = 0
    with torch.no_grad():
        together = model(batch, frame_mask)
        torch.testing.assert_close(together[:, :1, :, :frames], model(video))
        torch.testing.assert_close(together[:, 1:], model(longer, torch.ones_like(longer[:, :1])))


@every_backbone
def test_rates_far_beyond_the_video(name, causal):
    config = config_of(name, causal)
    structure = DilationStructure.from_rates([1000 + n for n in range(sum(config.shape))], config.shape)
    model = network(config, structure)
    for frames in (1, 2, 7):
        logits = model(torch.randn(2, 3, frames, dtype=torch.float64))
        assert logits.shape == (2, 2, 4, frames)
        assert logits.isfinite().all()


@every_backbone
@settings(max_examples=10, deadline=None)
@given(ones=sized(), others=sized(largest=40))
def test_a_network_with_other_rates_is_the_one_built_with_them(name, causal, ones, others):
    config = config_of(name, causal, ones[0])
    one, other = structure_of(config, ones[1]), structure_of(config, others[1])
    changed, built = network(config, one), network(config, other)
    rates = AdjustableRates(changed, one)
    features = torch.randn(2, 3, 30, dtype=torch.float64)
    first = changed(features)
    rates.set(other)
    assert torch.equal(changed(features), built(features))
    assert repr(changed) == repr(built)
    rates.set(one)
    assert torch.equal(changed(features), first)


@every_backbone
def test_a_saved_model_is_the_same_network(name, causal, tmp_path):
    config = config_of(name, causal)
    structure = structure_of(config, range(2, 14))
    metadata = ModelMetadata(
        structure=structure, backbone=config, classes=("a", "b", "c", "d"), feature_dim=3
    )
    model = build_backbone(config, structure, feature_dim=3, num_classes=4).eval()
    save_model(tmp_path / "model.safetensors", model, metadata)
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert read == metadata
    assert (read.backbone.causal, read.backbone.prediction_layers) == (
        causal,
        3 if name == "ms-tcn++" else None,
    )
    features = torch.randn(1, 3, 50)
    with torch.no_grad():
        assert torch.equal(loaded(features), model(features))
