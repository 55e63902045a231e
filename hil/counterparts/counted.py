"""Benches whose device's deeds are counted: in a file that outlasts the process, and cell by cell."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from numpy.typing import NDArray

from drivers.deed_file import DeedFile
from firmware_specs.deeds import Deeds


class CellMaps(NamedTuple):
    """Of one coupling's cells, (planes, rows, columns) each.

    Attributes:
        pulses: Pulses and writes they have had.
        energy_j: Joules of these.
        held_s: Conductances, siemens; NaN where not known.
    """

    pulses: NDArray[Any]
    energy_j: NDArray[Any]
    held_s: NDArray[Any]


@runtime_checkable
class Counted(Protocol):
    """A bench whose device's deeds are counted."""

    def deeds(self) -> Deeds:
        """What it did since it was opened."""
        ...

    def counting(self, file: DeedFile) -> AbstractContextManager[None]:
        """Within it, a file counts along; it gets what was done so far."""
        ...

    def cells(self) -> dict[str, CellMaps]:
        """What the cells have had, by array and coupling."""
        ...


def counted(bench: object) -> Counted | None:
    """The bench, or the one behind a calibration, where its deeds are counted."""
    inner = getattr(bench, "bench", bench)
    return inner if isinstance(inner, Counted) else None
