"""What the driver knows of a device's cells: their range, and the code each was last written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.cell_verbs import usage
from drivers.convert import Floats
from drivers.errors import OutOfRange
from drivers.session import Session
from firmware_specs.codes import Capability, Parameter
from firmware_specs.messages import Region

UNKNOWN = -1
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Snapshot:
    """The state of an emulated device, and the codes known to be in its cells, by array; -1 where not known."""

    device: bytes
    codes: dict[int, list[Codes]]


class Cells:
    """Cells of the arrays of an open device.

    Args:
        session: The open device; its guard keeps the ledgers of pulses and energy.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._device = session.address
        self._codes: dict[int, list[Codes]] = {}

    @property
    def planes(self) -> int:
        """Cells of one weight: 2 of each differential pair."""
        info = self._session.info
        return 2 * int(info.parameters.get(Parameter.PAIRS, 1)) if info.can(Capability.DIFFERENTIAL) else 1

    @property
    def range_s(self) -> tuple[float, float]:
        """Smallest and largest conductance, siemens."""
        return self._session.info.parameter(Parameter.G_MIN_S), self._session.info.parameter(Parameter.G_MAX_S)

    @property
    def lsb_s(self) -> float:
        """One step of the conductance codes, siemens."""
        low, high = self.range_s
        return (high - low) / self.max_code

    @property
    def max_code(self) -> int:
        """Code of the largest conductance."""
        return int(2 ** int(self._session.info.parameter(Parameter.CELL_BITS)) - 1)

    def place(self, array: int, shapes: Sequence[tuple[int, int]]) -> None:
        """An array was configured anew: what its cells hold is not known, what they have had is asked for."""
        self.take(array, [np.full((self.planes, *shape), UNKNOWN, np.int64) for shape in shapes])

    def take(self, array: int, codes: Sequence[Codes]) -> None:
        """Cells of an array hold these codes, (planes, rows, columns) a coupling; -1 where that is not known."""
        self._codes[array] = [known.copy() for known in codes]
        for coupling, known in enumerate(codes):
            for plane in range(self.planes):
                pulses, energy_j = self._usage(Region(array, coupling, plane, 0, known.shape[1], 0, known.shape[2]))
                self._session.guard.open_ledger((array, coupling, plane), pulses, energy_j)

    def known(self, array: int) -> list[Codes]:
        """Codes of an array's cells, (planes, rows, columns) a coupling; -1 where not known.

        Raises:
            OutOfRange: the array holds no block.
        """
        if array not in self._codes:
            raise OutOfRange(f"array {array} holds no block: configure it first", device=self._device)
        return self._codes[array]

    def all_known(self) -> dict[int, list[Codes]]:
        """A copy of the codes of every array that holds a block."""
        return {array: [codes.copy() for codes in known] for array, known in self._codes.items()}

    def wanted(self, array: int, targets_s: Sequence[Floats]) -> list[Codes]:
        """Codes of targets, (planes, rows, columns) a coupling.

        Raises:
            OutOfRange: misshapen, not finite, or beyond the conductance range.
        """
        known = self.known(array)
        if len(targets_s) != len(known):
            text = f"array {array}: {len(targets_s)} couplings given, it has {len(known)}"
            raise OutOfRange(text, device=self._device)
        return [self._wanted(index, target, known[index].shape) for index, target in enumerate(targets_s)]

    def _wanted(self, coupling: int, target_s: Floats, shape: tuple[int, ...]) -> Codes:
        what = f"conductances of coupling {coupling}"
        if target_s.shape != shape:
            raise OutOfRange(f"{what}: shape {shape} is needed, got {target_s.shape}", device=self._device)
        self._session.guard.finite(what, target_s)
        low, high = self.range_s
        with np.errstate(over="ignore"):
            code = np.rint((target_s.astype(np.float64) - low) / self.lsb_s)
        if code.size and (code.min() < 0 or code.max() > self.max_code):
            raise OutOfRange(
                f"{what}: {target_s.min():g} .. {target_s.max():g} S, the cells reach {low:g} .. {high:g} S; "
                "nothing was sent",
                device=self._device,
            )
        return code.astype(np.int64)

    def _usage(self, region: Region) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        if not self._session.info.can(Capability.USAGE):
            return np.zeros((region.rows, region.columns), np.int64), np.zeros((region.rows, region.columns))
        return usage(self._session, region)
