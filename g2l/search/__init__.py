"""The global (genetic) and local (expectation-guided) searches; knows nothing of training."""
