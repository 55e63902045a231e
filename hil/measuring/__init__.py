"""What calibration and characterization share: a placed block in model units, fits, estimates with uncertainties."""
