"""Training with several branches in each layer, whose rates stay where they are (RF-Next, section 3.4)."""

from __future__ import annotations

from torch import nn

from g2l.receptive_field import Ending, branch_layers, structure
from g2l.receptive_field.endings import end_layers
from g2l.search.local_search import LocalSearch
from g2l.search_config import LocalSearchConfig


def fix_branches(model: nn.Module, config: LocalSearchConfig, *, longest_video: int) -> LocalSearch:
    """Give the layers of a network branches around their rates, which are trained but do not move.

    Args:
        model: A network as it was built; changed in place.
        config: How a rate becomes several, and the learning rate of the branch weights.
        longest_video: Frames T of the longest training video: the largest rate unless `config` has one.

    Returns:
        What knows the parameter groups of the network.
    """
    search = LocalSearch(config, longest_video=longest_video)
    search.prepare(model)
    layers, rates = branch_layers(model), structure(model)
    end_layers(layers, {name: rates[name] for name in layers}, Ending.MULTIPLE)
    return search
