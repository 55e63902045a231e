"""Crossbars with resistive lines: an exact nodal solve, a fast approximation, sneak paths."""
