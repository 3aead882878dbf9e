"""What is claimed, measured: ratios in pairs within one run, what searches find, what survives a kill."""
