"""Data sets in the MS-TCN layout: reading, checking, batching, hold-out, synthesis."""
