"""Training one network: loss, loop, checkpoints, evaluation, and short trainings as a fitness."""
