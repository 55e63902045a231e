"""What the checks do to the cells of a chip that does not count itself goes to the chip's total, before it is done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivers.chip_ledger import ChipLedger, plane_name
from drivers.errors import DeviceError
from firmware_specs.codes import Capability, Opcode, Parameter
from firmware_specs.messages import PULSES_A_CELL, Coincide, MalformedError, Pulse, Region, Update, WriteCells
from hil.conformance.conversation import Failed, Skipped
from hil.conformance.subject import Subject


class Counting:
    """Told of every request before it goes out.

    Args:
        subject: Whose verbs are counted; what it is, is asked with the first that does something to cells.
        ledger: Opens the total of a chip, by who it is.
    """

    def __init__(self, subject: Subject, ledger: Callable[[str], ChipLedger]) -> None:
        self._subject, self._open = subject, ledger
        self._ledger: ChipLedger | None = None
        self._asked = False

    def __call__(self, opcode: int, payload: bytes) -> None:
        """Counts a request that writes, pulses or updates; one that the device cannot but refuse is none.

        Raises:
            Skipped: a cell has had what it may have. OutOfRange: the total cannot be kept.
        """
        if opcode not in (Opcode.PULSE, Opcode.WRITE_CELLS, Opcode.UPDATE, Opcode.COINCIDE) or not self._counts():
            return
        try:
            if opcode == Opcode.PULSE:
                self._pulses(Pulse.parse(payload))
            elif opcode == Opcode.COINCIDE:
                self._coincidences(Coincide.parse(payload))
            elif opcode == Opcode.UPDATE:
                Update.parse(payload)
                self._update()
            else:
                self._writes(WriteCells.parse(payload))
        except MalformedError:
            return

    def _counts(self) -> bool:
        """Is it a chip of which the host keeps the total?"""
        if not self._asked:
            self._asked = True
            try:
                found = self._subject.identity
                if Capability.USAGE not in found.capabilities:
                    self._ledger = self._open(f"{found.vendor} {found.model} {found.serial}")
            except (DeviceError, Failed):
                pass  # who does not say who it is fails by that
        return self._ledger is not None

    def _pulses(self, asked: Pulse) -> None:
        most, count = self._subject.limits.absolute, np.asarray(asked.count, np.int64)
        too_many = count.max(initial=0) > PULSES_A_CELL
        if asked.amplitude_v > most.max_pulse_v or asked.width_s > most.max_pulse_s or too_many:
            return
        joules = asked.amplitude_v**2 * asked.width_s * max(0.0, self._subject.parameters.get(Parameter.G_MAX_S, 0.0))
        self._add(asked.region, count, joules)

    def _coincidences(self, asked: Coincide) -> None:
        most = self._subject.limits.absolute
        if asked.amplitude_v > most.max_pulse_v or asked.width_s > most.max_pulse_s:
            return
        joules = asked.amplitude_v**2 * asked.width_s * max(0.0, self._subject.parameters.get(Parameter.G_MAX_S, 0.0))
        share = self._subject.parameters.get(Parameter.HALF_SELECT, 0.0)
        for train in asked.trains:
            self._add(train.region, train.counts, joules, train.half_selected * (joules * share**2))

    def _update(self) -> None:
        joules = max(0.0, self._subject.parameters.get(Parameter.WRITE_ENERGY_J, 0.0))
        for number in range(len(self._subject.topology.couplings)):
            for plane in range(self._subject.planes):
                self._add(self._subject.region(plane, number), np.asarray(1, np.int64), joules)

    def _writes(self, asked: WriteCells) -> None:
        joules = max(0.0, self._subject.parameters.get(Parameter.WRITE_ENERGY_J, 0.0))
        for patch in asked.patches:
            self._add(patch.region, np.asarray(1 + asked.verify, np.int64), joules)

    def _add(self, region: Region, count: np.ndarray, joules: float, besides: np.ndarray | float = 0.0) -> None:
        rows, columns = region.slices
        fabric = self._subject.fabric
        side = 1 + max(fabric.max_units, *fabric.layers, 0)
        if self._ledger is None or max(rows.stop, columns.stop) > side:
            return
        name = plane_name(region.array, region.coupling, region.plane)
        pulses, heat = self._ledger.had(name, (rows.stop, columns.stop))
        pulses[rows, columns] += count
        heat[rows, columns] += count * joules + besides
        if pulses.max(initial=0) > (most := self._subject.limits.absolute.max_pulses_per_cell):
            raise Skipped(f"a cell would have had {pulses.max()} pulses, the device allows {most:g}")
        self._ledger.keep(name, pulses, heat)
