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

from g2l.receptive_field.rates import Ending

if TYPE_CHECKING:
    from g2l.receptive_field.conversion import ConversionReport, convert, describe, restore
    from g2l.receptive_field.endings import finish
    from g2l.receptive_field.geometry import CausalConv1d
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
    "CausalConv1d": "geometry",
    "ConversionReport": "conversion",
    "SearchSchedule": "schedule",
    "convert": "conversion",
    "describe": "conversion",
    "finish": "endings",
    "restore": "conversion",
}
"""Of names that are not in `layers`."""


def __getattr__(name: str) -> Any:
    # Torch is imported on demand, since many modules only need `Ending`.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'layers')}"), name)
