from __future__ import annotations

import torch

from cli.inputs import load_network
from cli.settings import PublishedConfig
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure


def test_what_a_state_dict_does_not_hold_comes_from_the_options(tmp_path):
    network = MSTCN(DilationStructure.hand_designed(2, 3), feature_dim=4, num_classes=2, feature_maps=5)
    torch.save(network.state_dict(), tmp_path / "epoch-50.model")
    (tmp_path / "mapping.txt").write_text("0 SIL\n1 stir milk\n")
    checkpoint = PublishedConfig(
        mapping=tmp_path / "mapping.txt", sample_rate=2, fps=30.0, background=("SIL", "action end")
    )
    loaded, metadata = load_network(str(tmp_path / "epoch-50.model"), checkpoint)
    assert metadata.classes == ("SIL", "stir milk")
    assert metadata.background == ("SIL", "action end")
    assert (metadata.sample_rate, metadata.fps, metadata.feature_dim) == (2, 30.0, 4)
    assert metadata.structure.stages == ((1, 2, 4), (1, 2, 4))
    features = torch.randn(1, 4, 20)
    with torch.no_grad():
        assert torch.equal(loaded(features), network.eval()(features))
