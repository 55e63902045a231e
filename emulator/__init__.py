"""The software chip: physics of cells, arrays and converters behind a value door and a byte door."""
