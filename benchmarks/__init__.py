"""Ratios of two ways of doing one thing, measured in pairs within one run; one script each."""
