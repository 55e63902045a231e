"""Grids of trainings: points, figures of each, resumable."""
