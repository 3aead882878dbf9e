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

from g2l.receptive_field.branches import branch_layers, estimate, expand, parameter_groups, structure
from g2l.receptive_field.conversion import ConversionReport, convert, describe, restore
from g2l.receptive_field.endings import finish
from g2l.receptive_field.geometry import CausalConv1d
from g2l.receptive_field.schedule import SearchSchedule
from g2l.structure import Ending

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
