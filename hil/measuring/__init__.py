"""What a device does: calibration, characterization, twins, netlists, and the estimates they share."""
