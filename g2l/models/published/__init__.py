"""How published checkpoints name their weights: one file for each naming.

Each has `matches(weights)`, whether a state dict uses its names, and `measure(weights, num_classes, path)`,
which reads the size of the network and D off names and shapes.
"""
