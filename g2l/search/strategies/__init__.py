"""How a search decides what to train next: one file per strategy, all on top of one session."""
