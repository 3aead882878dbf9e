"""Searching the receptive fields of any network: convert, estimate, expand, finish.

```python
convert(model, max_rate=64)
optimizer = torch.optim.AdamW(parameter_groups(model, learning_rate=1e-3))
schedule = SearchSchedule(model, optimizer, interval=3, updates=10)
for epoch in range(50):
    train(model, optimizer)
    schedule.step()
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from g2l.receptive_field.causal import CausalConv1d
    from g2l.receptive_field.conversion import ConversionReport, convert
    from g2l.receptive_field.description import describe, restore
    from g2l.receptive_field.ending import Ending
    from g2l.receptive_field.endings import finish
    from g2l.receptive_field.layers import branch_layers, estimate, expand, parameter_groups, structure
    from g2l.receptive_field.schedule import SearchSchedule

__all__ = [
    "CausalConv1d",
    "ConversionReport",
    "Ending",
    "SearchSchedule",
    "branch_layers",
    "convert",
    "describe",
    "estimate",
    "expand",
    "finish",
    "parameter_groups",
    "restore",
    "structure",
]

_MODULES = {
    "CausalConv1d": "causal",
    "ConversionReport": "conversion",
    "Ending": "ending",
    "SearchSchedule": "schedule",
    "branch_layers": "layers",
    "convert": "conversion",
    "describe": "description",
    "estimate": "layers",
    "expand": "layers",
    "finish": "endings",
    "parameter_groups": "layers",
    "restore": "description",
    "structure": "layers",
}


def __getattr__(name: str) -> Any:
    # Torch is imported when it is needed, not by whoever only wants `Ending`.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
