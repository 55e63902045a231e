"""Virtual Lake Shore 335 with an oven: input A, output 1, a first-order lag in the bench's time."""

from __future__ import annotations

import math
import re

from emulator.instruments.plain import PlainBox
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import ROOM_K, Stand
from firmware_specs.racks.wiring import Instrument

LAG_S = 20.0
"""Time constant of the oven."""
_COMMAND = re.compile(r"(SETP|RANGE|KRDG)(\?)?\s*([A-Z0-9])?(?:,\s*(\S+))?")


class LakeShore335(PlainBox):
    """The oven follows the set-point while its heater is on, and the room while it is off; it cannot cool."""

    line_end = b"\r\n"

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec)
        self._kelvin, self._since_s = ROOM_K, bench.now_s
        self._setpoint, self._heater = ROOM_K, 0
        bench.kelvin = self.kelvin

    def kelvin(self) -> float:
        """Temperature of the oven now."""
        target = max(self._setpoint, ROOM_K) if self._heater else ROOM_K
        return target + (self._kelvin - target) * math.exp(-(self.bench.now_s - self._since_s) / LAG_S)

    def carry_out(self, line: str) -> str | None:
        """One command; what it does not know it does not answer, as the box does."""
        command = line.strip().upper()
        match command:
            case "*IDN?":
                return self.identity()
            case "*OPC?":
                return "1"
            case "*RST":
                self._set(ROOM_K, 0)
        found = _COMMAND.fullmatch(command)
        if found is None:
            return None
        what, asks, _, value = found.groups()
        if asks:
            return {"SETP": f"{self._setpoint:+.4f}", "RANGE": str(self._heater), "KRDG": f"{self.kelvin():+.4f}"}[what]
        try:
            number = float(value or "")
        except ValueError:
            return None
        if what == "SETP" and 0 < number < 1000:
            self._set(number, self._heater)
        elif what == "RANGE" and number in (0, 1, 2, 3):
            self._set(self._setpoint, int(number))
        return None

    def _set(self, setpoint: float, heater: int) -> None:
        self._kelvin, self._since_s = self.kelvin(), self.bench.now_s
        self._setpoint, self._heater = setpoint, heater
