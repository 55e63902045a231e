"""Weights of several pairs of cells: what datasheets may say of them, and devices of themselves."""

MOST_PAIRS = 8
"""Pairs of cells a weight has at most."""
LEAST_SIGNIFICANCE = 1e-15
"""Of a pair against the one before it: even the last one's is a number that can be divided by."""
