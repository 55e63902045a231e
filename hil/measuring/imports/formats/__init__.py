"""Formats by name, from the registry: what `hil import NAME FILES` can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_specs.registry import find
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import Readings


@dataclass(frozen=True)
class Options:
    """What a person can say about a table beside its name.

    Attributes:
        mapping: Mapping file of the format `table`.
        kind: What was done with the cells, where the format does not say.
        current: Heading of the column of currents, where there are several.
        voltage: Heading of the column of read voltages.
        read_v: Read voltage, where no column has it.
        interval_s: Time between two readings, where no column has it.
        range_s: Conductances that the ends of a normalized table stand for.
    """

    mapping: Path | None = None
    kind: str | None = None
    current: str | None = None
    voltage: str | None = None
    read_v: float | None = None
    interval_s: float | None = None
    range_s: tuple[float, float] | None = None


Reader = Callable[[Sequence[Path], Options, Rows], Readings]
"""A format; the first line of its docstring says what it reads."""


def reader(name: str) -> Reader:
    """A format by its name.

    Raises:
        firmware_specs.registry.UnknownName: there is no such format.
    """
    found: Reader = find("imports", name)
    return found
