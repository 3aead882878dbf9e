"""Segments of one video in the formats that annotators and scripts open."""
