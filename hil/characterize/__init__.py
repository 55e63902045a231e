"""Characterization: what a device's cells, converters and neurons really do, with uncertainties."""
