"""G2L: global-to-local search for the receptive fields of temporal networks."""

__version__ = "0.1.0"
