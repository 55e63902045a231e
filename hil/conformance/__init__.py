"""Conformance of firmware with the serial protocol: what `hil conform` and `pytest --pyargs hil.conformance` run."""
