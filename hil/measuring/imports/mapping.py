"""Mapping files: which column of a table is what, in which unit (TOML)."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from firmware_specs.datasheet.section import Section
from firmware_specs.documents import DocumentError, parse_toml, read_text
from firmware_specs.refusals import explain
from hil.measuring.imports.readings import UNITS, ImportRefused, Kind
from hil.measuring.imports.units import converter

QUANTITY = {"S": "conductance", "s": "time", "V": "voltage", "K": "temperature", "1": "number"}


class Column(Section):
    """One column.

    Attributes:
        name: Its heading; or
        index: its number, from 1, in a table without headings.
        unit: Unit of its values: `uS`, `kohm`, `ms`, `V`, `C`, `1`, ...
        scale: Factor on its values before the unit.
    """

    name: str | None = None
    index: int | None = Field(default=None, ge=1)
    unit: str = "1"
    scale: float = 1.0

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.name is None) == (self.index is None):
            raise ValueError("give name (of the heading) or index (from 1)")
        converter(self.unit)
        return self


class Mapping(Section):
    """How to read a table.

    Attributes:
        kind: `ramps`, `reads`, `retention`, `writes` or `resets`.
        separator: Between fields; tab, semicolon or comma when left out, what the first line has that is not
            skipped.
        skip_lines: Lines before the headings, or before the first row without headings; empty ones count.
        headings: Is there a line of headings?
        columns: By what they are: `cell`, `conductance` or `resistance`, `current` with `voltage`, `time`, `pulse`,
            `polarity`, `amplitude`, `width`, `target`, `temperature`, `cycle`.
        up: Values of `polarity` that mean towards higher conductance.
        constants: Quantities that are the same in every row, SI units, e.g. `temperature = 358.15`.
        source: What the report is to say of the table: `origin`, `licence`, ...
    """

    kind: Kind
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    skip_lines: int = Field(default=0, ge=0)
    headings: bool = True
    columns: dict[str, Column]
    up: tuple[str, ...] = ("1", "+1", "1.0", "up", "set", "potentiation", "+")
    down: tuple[str, ...] = ("-1", "-1.0", "0", "down", "reset", "depression", "-")
    constants: dict[str, float] = Field(default_factory=dict)
    source: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        known = {"cell": "number", "resistance": "resistance", "current": "current", "voltage": "voltage"}
        known |= {name: QUANTITY[unit] for name, unit in UNITS.items()}
        for name, column in self.columns.items():
            if name not in known:
                raise ValueError(f"columns.{name}: there are {', '.join(known)}")
            if not self.headings and column.index is None:
                raise ValueError(f"columns.{name}: a table without headings needs index")
            quantity, _ = converter(column.unit)
            wanted = {"conductance": ("conductance",), "target": ("conductance", "resistance")}.get(
                name, (known[name],)
            )
            if name not in ("cell", "polarity") and quantity not in wanted:
                raise ValueError(f"columns.{name}: {column.unit!r} is a unit of {quantity}, {wanted[0]} is expected")
        ways = [{"conductance"}, {"resistance"}, {"current", "voltage"}]
        if sum(way <= set(self.columns) for way in ways) != 1:
            raise ValueError("columns: conductance, or resistance, or current and voltage is needed, one of the three")
        for name in self.constants:
            if name not in UNITS or name in self.columns:
                raise ValueError(f"constants.{name}: there are {', '.join(n for n in UNITS if n not in self.columns)}")
        return self


def load(path: Path) -> Mapping:
    """Reads a mapping file.

    Raises:
        ImportRefused: naming file, key and what was expected.
    """
    try:
        document = parse_toml(read_text(path))
        return Mapping.model_validate(document)
    except OSError as error:
        raise ImportRefused(f"{path}: not readable: {error}") from error
    except ValidationError as error:
        raise ImportRefused(f"{path}: " + "; ".join(explain(error, document, Mapping))) from error
    except DocumentError as error:
        raise ImportRefused(f"{path}: {error}") from error
