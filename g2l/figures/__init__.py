"""All figures, in one style that fits the columns of a paper; the only place that draws.

`style` (sizes, colours, files), `strips` (labels over time), `results` (scores against cost, context and
epochs, receptive fields), `search` (rates and candidates). Figures are made without pyplot, which keeps
global state and chooses a window system.
"""
