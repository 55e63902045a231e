"""Racks of bench instruments, as data: what each instrument can do, and how they reach the lines of a crossbar."""

from firmware_specs.racks.facts import Facts, Range
from firmware_specs.racks.load import RackError, load_rack, shipped_racks
from firmware_specs.racks.model import Model, facts, model, models
from firmware_specs.racks.rack import Rack

__all__ = ["Facts", "Model", "Rack", "RackError", "Range", "facts", "load_rack", "model", "models", "shipped_racks"]
