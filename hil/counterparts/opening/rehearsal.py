"""A rehearsal: an emulated stand-in does what a device would be asked to do, and everything that would go out is noted.

What is measured decides what is asked for next, so a list of what goes out needs a device that answers. The stand-in is
made from a datasheet, or from what the device says of itself; the device itself gets nothing else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.device_info import DeviceInfo
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from firmware_specs.codes import Opcode
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import (
    Coincide,
    Measure,
    Product,
    Pulse,
    ReadCells,
    Settle,
    Update,
    WriteCells,
    parse_number,
)
from firmware_specs.printable import printable

MOST_LISTED = 12
"""Different voltages that are listed one by one."""
ROUND_TRIP_S = 1e-3
"""Of a request over a usual link."""


@dataclass
class Range:
    """Smallest and largest of what went out."""

    low: float = np.inf
    high: float = -np.inf

    def take(self, values: NDArray[np.floating[Any]]) -> None:
        """More of it."""
        if values.size:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def said(self, unit: str) -> str:
        """In words."""
        return "none" if self.low > self.high else f"{self.low:.4g} .. {self.high:.4g} {unit}"


@dataclass
class Notes:
    """What would go out.

    Attributes:
        seconds: That the device needs by what it states.
        requests: By verb.
        refused: By verb and reason: sent, but a device as it should be refuses it.
        pulses: Pulses in all and most of one request, by direction, amplitude and width.
        volts: Readings of cells, by voltage.
        cells: Cells written.
        samples: Settled, each phase counted.
        drive: Into the first layer, or at the sources.
        nudge: Into the last layer.
        updates: Of the cells by the device itself.
        window_s: How long its circuits are on for a sample and term.
        line_v: On the lines of products.
        kelvin: Temperatures that are set.
    """

    seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    pulses: dict[tuple[str, float, float], int] = field(default_factory=dict)
    volts: Counter[float] = field(default_factory=Counter)
    cells: int = 0
    samples: int = 0
    drive: Range = field(default_factory=Range)
    nudge: Range = field(default_factory=Range)
    updates: int = 0
    window_s: Range = field(default_factory=Range)
    line_v: Range = field(default_factory=Range)
    kelvin: Range = field(default_factory=Range)


class StandIn(Machine):
    """The firmware of the stand-in: answers, and notes what reached it.

    Args:
        sheet: What it is made from.
        info: What the device can, where it was asked: the stand-in can no more.
    """

    def __init__(self, sheet: Datasheet, info: DeviceInfo | None = None) -> None:
        self.notes = Notes()
        device = Device(Chip(sheet), work=self._spend)
        if info is not None:
            device.capabilities &= info.identity.capabilities
        super().__init__(device)

    def execute(self, opcode: int, payload: bytes, door: str) -> bytes:
        """As any firmware, with a note."""
        name = Opcode(opcode).name if opcode in Opcode._value2member_map_ else f"0x{opcode:02x}"
        self.notes.requests[name] += 1
        try:
            reply = super().execute(opcode, payload, door)
        except Refused as refused:
            if opcode in NOTED:
                self.notes.refused[f"{name}: {refused.code.name}"] += 1
            raise
        if opcode in NOTED:
            NOTED[Opcode(opcode)](self, payload)
        return reply

    def said(self, device: str) -> list[str]:
        """What would go out to a device, in lines for people."""
        head = f"rehearsed on an emulated {self.device.sheet.identity.model}; nothing was sent to {printable(device)}:"
        return [head, *(f"  {line}" for line in self._lines())]

    def _lines(self) -> list[str]:
        notes, limits, unit = self.notes, self.device.absolute, "V" if self.device.sheet.resistive else "A"
        found = [f"outputs on     {notes.requests['ARM']} times"]
        if notes.cells:
            found.append(f"writes         {notes.cells} cells in {notes.requests['WRITE_CELLS']} requests")
        for (way, volts, seconds), count in sorted(notes.pulses.items()):
            found.append(f"pulses {way:4}    {volts:g} V for {seconds:g} s: {count} pulses")
        if notes.volts:
            found.append(f"reads cells    at {self._voltages()}: {sum(notes.volts.values())} readings")
        if notes.samples:
            found.append(f"settles        {notes.samples} samples and phases")
            found.append(f"drive          {notes.drive.said(unit)}, nudge {notes.nudge.said('A')}")
        if notes.updates:
            found.append(f"updates        {notes.updates} by the device itself, windows {notes.window_s.said('s')}")
        if notes.line_v.low <= notes.line_v.high:
            found.append(f"products       {notes.line_v.said('V')} on the lines")
        if notes.requests["SET_TEMPERATURE"]:
            found.append(f"temperature    {notes.kelvin.said('K')}")
        found += [
            f"refused        {why} ({count} times): sent to see it refused" for why, count in notes.refused.items()
        ]
        total = sum(notes.requests.values())
        about_s = notes.seconds + total * ROUND_TRIP_S
        found.append(f"time           about {about_s:.3g} s: {notes.seconds:.3g} s stated, {total} requests")
        most = f"{self.device.ledger.most_pulses} of the {limits.max_pulses_per_cell:g} it may have in its life"
        found.append(f"pulses a cell  at most {most}, writes among them")
        return found

    def _voltages(self) -> str:
        found = sorted(self.notes.volts)
        if len(found) > MOST_LISTED:
            return f"{found[0]:g} .. {found[-1]:g} V ({len(found)} voltages)"
        return ", ".join(f"{volts:g}" for volts in found) + " V"

    def _spend(self, seconds: float) -> None:
        self.notes.seconds += seconds

    def _pulse(self, payload: bytes) -> None:
        request = Pulse.parse(payload)
        key = ("up" if request.up else "down", request.amplitude_v, request.width_s)
        self.notes.pulses[key] = self.notes.pulses.get(key, 0) + request.pulses

    def _coincide(self, payload: bytes) -> None:
        request = Coincide.parse(payload)
        for train in request.trains:
            key = ("up" if train.up else "down", request.amplitude_v, request.width_s)
            self.notes.pulses[key] = self.notes.pulses.get(key, 0) + int(train.counts.sum())

    def _measure(self, payload: bytes) -> None:
        request = Measure.parse(payload)
        for volts in request.volts.tolist():
            self.notes.volts[volts] += request.region.cells * request.reads

    def _read(self, payload: bytes) -> None:
        request = ReadCells.parse(payload)
        self.notes.volts[self.device.sheet.limits.max_read_v] += request.region.cells * request.reads

    def _write(self, payload: bytes) -> None:
        self.notes.cells += sum(patch.codes.size for patch in WriteCells.parse(payload).patches)

    def _settle(self, payload: bytes) -> None:
        self._driven(Settle.parse(payload))

    def _update(self, payload: bytes) -> None:
        request = Update.parse(payload)
        self._driven(request)
        self.notes.updates += 1
        self.notes.window_s.take(request.windows_s)

    def _driven(self, request: Settle | Update) -> None:
        sheet = self.device.sheet
        self.notes.samples += len(request.drive) * (1 + len(request.nudges))
        self.notes.drive.take(sheet.drive_dac.low + request.drive * sheet.drive_dac.lsb)
        for codes in request.nudges:
            self.notes.nudge.take(sheet.nudge_dac.low + codes * sheet.nudge_dac.lsb)

    def _product(self, payload: bytes) -> None:
        product = self.device.sheet.product
        if product is not None:
            self.notes.line_v.take(product.line_dac.low + Product.parse(payload).inputs * product.line_dac.lsb)

    def _temperature(self, payload: bytes) -> None:
        self.notes.kelvin.take(np.array([parse_number(payload)]))


NOTED = {
    Opcode.PULSE: StandIn._pulse,
    Opcode.COINCIDE: StandIn._coincide,
    Opcode.MEASURE: StandIn._measure,
    Opcode.READ_CELLS: StandIn._read,
    Opcode.WRITE_CELLS: StandIn._write,
    Opcode.SETTLE: StandIn._settle,
    Opcode.PRODUCT: StandIn._product,
    Opcode.UPDATE: StandIn._update,
    Opcode.SET_TEMPERATURE: StandIn._temperature,
}
