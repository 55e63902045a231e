"""Datasheets: what a device is, as data. `load` reads one; `Datasheet` is the schema, one file a section."""

from firmware_specs.datasheet.load import DatasheetError, load, shipped
from firmware_specs.datasheet.sheet import Datasheet

__all__ = ["Datasheet", "DatasheetError", "load", "shipped"]
