"""Segment metrics of action segmentation: pure numpy, percentages."""
