"""Instruments: PyMeasure's drivers where it has them, own small classes where it has none, all over one dialogue."""
