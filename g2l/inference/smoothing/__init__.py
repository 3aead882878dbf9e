"""Removing what is too short to be true from predicted labels."""
