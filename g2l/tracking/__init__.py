"""Runs as they are recorded: a protocol, a tracker that records nothing, and MLflow."""
