"""Datasets, read from their own file formats."""
