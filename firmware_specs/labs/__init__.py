"""Virtual laboratories, as data: instruments under VISA names, and a small circuit between their terminals."""

from firmware_specs.labs.lab import GND, Lab, LabError, load_lab, single

__all__ = ["GND", "Lab", "LabError", "load_lab", "single"]
