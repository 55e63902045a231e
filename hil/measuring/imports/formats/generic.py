"""Any text table with a mapping file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hil.measuring.imports import mapping, table
from hil.measuring.imports.formats import Options
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import ImportRefused, Readings


def read(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """Any CSV or TSV table, with --map MAPPING.toml."""
    if options.mapping is None:
        raise ImportRefused("format table needs --map MAPPING.toml, which column is what")
    return table.read(paths, mapping.load(options.mapping), rows)
