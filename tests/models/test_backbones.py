"""What holds for every backbone, causal or not: oracle, names, receptive field, padding, files."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from g2l.config import FAMILIES, BackboneConfig
from g2l.errors import InputError
from g2l.models.artifact import load_model, save_model
from g2l.models.metadata import ModelMetadata
from g2l.models.ms_tcn import MSTCNPlusPlus
from g2l.models.registry import BACKBONES, build_backbone
from g2l.structure import DilationStructure
from tests.oracles.plain_asformer import PlainASFormer
from tests.oracles.plain_ms_tcn import PlainMSTCN
from tests.oracles.plain_ms_tcn_plus_plus import PlainMSTCNPlusPlus

VARIANTS = [("ms-tcn", False), ("ms-tcn", True), ("ms-tcn++", False), ("ms-tcn++", True)]
"""Those whose receptive field is that of their convolutions."""
every_variant = pytest.mark.parametrize(("name", "causal"), VARIANTS)
every_backbone = pytest.mark.parametrize(("name", "causal"), [*VARIANTS, ("asformer", False)])
LAYERS = st.lists(st.integers(1, 3), min_size=1, max_size=3)


def config_of(name, causal):
    return BackboneConfig(name=name, feature_maps=4, causal=causal).validate()


@st.composite
def sized(draw, largest=9):
    """Return the layers of each stage, and rates enough for all of them."""
    return draw(LAYERS), draw(st.lists(st.integers(1, largest), min_size=12, max_size=12))


def structure_of(config, layers, rates):
    shape = config.hand_designed(layers).shape
    return DilationStructure.from_rates(rates[: sum(shape)], shape)


def network(config, structure, feature_dim=3):
    torch.manual_seed(0)
    return build_backbone(config, structure, feature_dim=feature_dim, num_classes=4).double().eval()


def test_all_names_are_in_the_settings_too():
    assert BACKBONES.keys() == FAMILIES.keys()
    assert {name for name, _ in VARIANTS} == {
        name for name, family in FAMILIES.items() if not family.whole_video
    }


ORACLES = {
    "ms-tcn": (((1, 3, 2), (2,), (4, 1)), lambda s: PlainMSTCN(s, 3, 4, feature_maps=4)),
    "ms-tcn++": (
        ((4, 3, 1, 1, 2, 9), (2, 5), (4,)),
        lambda s: PlainMSTCNPlusPlus([(4, 1), (3, 2), (1, 9)], s[1:], 3, 4, maps=4),
    ),
    "asformer": (((1, 3, 2), (5, 4), (8,)), lambda s: PlainASFormer(s, 3, 4, feature_maps=4)),
}


@pytest.mark.parametrize("lengths", [(2,), (3, 31, 16)])
@pytest.mark.parametrize("name", ORACLES)
def test_names_values_and_gradients_are_those_of_the_oracle(name, lengths):
    stages, plain = ORACLES[name]
    structure = DilationStructure(stages)
    config = config_of(name, False)
    model, other = network(config, structure), plain(structure.as_lists()).double().eval()
    with torch.no_grad():
        for layer in model.modules():
            if hasattr(layer, "query_conv"):  # attention that is far from a mean
                layer.query_conv.weight.mul_(6)
    assert list(model.state_dict()) == list(other.state_dict())
    other.load_state_dict(model.state_dict())
    videos = [torch.randn(3, frames, dtype=torch.float64) for frames in lengths]
    features = pad_sequence([video.T for video in videos], batch_first=True, padding_value=7).mT
    frame_mask = pad_sequence([torch.ones(frames, 1).double() for frames in lengths], batch_first=True).mT

    logits = model(features, frame_mask if len(lengths) > 1 else None)
    (logits * frame_mask).square().sum().backward()
    masks = [[torch.ones(1, 4, frames).double()] if name == "ms-tcn" else [] for frames in lengths]
    expected = [
        torch.stack(other(video[None], *mask))[:, 0] for video, mask in zip(videos, masks, strict=True)
    ]
    sum(outputs.square().sum() for outputs in expected).backward()

    for row, outputs in enumerate(expected):
        torch.testing.assert_close(logits[:, row, :, : lengths[row]], outputs)
    for (weight, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(
            mine.grad, theirs.grad, msg=lambda text, weight=weight: f"{weight}: {text}"
        )


@every_variant
@settings(max_examples=20, deadline=None)
@given(layers_and_rates=sized())
def test_a_network_sees_exactly_what_its_topology_says(name, causal, layers_and_rates):
    config = config_of(name, causal)
    structure = structure_of(config, *layers_and_rates)
    model = network(config, structure)
    # No ReLU is closed and nothing cancels where all weights and inputs are positive.
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)
    field = config.topology.receptive_field(structure)
    middle = field.past + 3
    features = torch.rand(1, 3, middle + field.future + 4, dtype=torch.float64, requires_grad=True)
    model(features)[-1, 0, 1, middle].backward()
    seen = features.grad[0].abs().sum(0).nonzero().flatten()
    assert (middle - seen.min(), seen.max() - middle) == (field.past, field.future)


@pytest.mark.parametrize("name", ["ms-tcn", "ms-tcn++"])
@settings(max_examples=20, deadline=None)
@given(layers_and_rates=sized(), frame=st.integers(0, 18))
def test_no_later_frame_changes_a_bit_of_a_causal_network(name, layers_and_rates, frame):
    config = config_of(name, True)
    model = network(config, structure_of(config, *layers_and_rates))
    features = torch.randn(2, 3, 20, dtype=torch.float64)
    changed = features.clone()
    changed[..., frame + 1 :] = torch.randn(2, 3, 19 - frame, dtype=torch.float64) * 100
    with torch.no_grad():
        logits, others = model(features), model(changed)
    assert torch.equal(logits[..., : frame + 1], others[..., : frame + 1])
    assert not torch.equal(logits, others)


@every_backbone
@settings(max_examples=20, deadline=None)
@given(
    layers_and_rates=sized(),
    frames=st.integers(1, 20),
    padding=st.integers(1, 20),
    garbage=st.sampled_from([0.0, 1.0, -50.0]),
)
def test_padding_changes_no_valid_frame(name, causal, layers_and_rates, frames, padding, garbage):
    config = config_of(name, causal)
    model = network(config, structure_of(config, *layers_and_rates))
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
def test_training_draws_from_the_random_state_alone_and_a_saved_model_is_the_same(name, causal, tmp_path):
    config = config_of(name, causal)
    structure = structure_of(config, (3, 1, 2), range(2, 14))
    model, features = network(config, structure).float().train(), torch.randn(1, 3, 50)
    state = torch.get_rng_state()
    first, second = model(features), model(features)
    torch.set_rng_state(state)
    assert torch.equal(model(features), first)
    assert not torch.equal(first, second)
    metadata = ModelMetadata(structure=structure, backbone=config, classes=tuple("abcd"), feature_dim=3)
    save_model(tmp_path / "model.safetensors", model, metadata)
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert read == metadata
    with torch.no_grad():
        assert torch.equal(loaded(features), model.eval()(features))


def test_an_exported_graph_keeps_convolutions_and_any_length():
    config = BackboneConfig(stages=3, layers=2, feature_maps=4)
    model = network(config, DilationStructure(ORACLES["ms-tcn"][0]))
    dynamic = {"features": {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames")}, "frame_mask": None}
    example = torch.randn(2, 3, 9, dtype=torch.float64)
    program = torch.export.export(
        model, (example,), {"frame_mask": None}, dynamic_shapes=dynamic, strict=False
    )
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum("conv1d" in name for name in operators) == 3 * (2 + 2 * 2)
    assert not any("bmm" in name for name in operators)
    features = torch.randn(3, 3, 31, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(features, frame_mask=None), model(features))


def test_half_a_dual_layer_is_refused():
    with pytest.raises(InputError, match="two rates per layer in its first stage, but has 3 in all"):
        MSTCNPlusPlus(DilationStructure(((1, 2, 3),)), feature_dim=6, num_classes=4)
