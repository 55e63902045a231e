"""Characterization: what a device's cells, neurons and converters really do, with uncertainties.

`plan` says what is measured, `probe` reaches the device, `steps` and `store` make it resumable, `items` hold the
measurements and what is concluded from them, `run` puts them together.
"""
