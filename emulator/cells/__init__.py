"""Physics of single cells, one pure function an effect; every one is off unless the datasheet asks for it."""

from emulator.cells.writing import quantize

__all__ = ["quantize"]
