"""Strategies: how a search proposes structures. Each is a function of the running search, read top to bottom.

A strategy proposes, lets `Search.evaluate` score the proposals, decides who stays, and closes the generation;
it returns what it found, best first.
"""
