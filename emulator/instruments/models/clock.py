"""The bench's time: `TIME?`, and `WAIT? s`, which answers when the time has passed."""

from __future__ import annotations

from emulator.instruments.core import Call, Reply, ScpiInstrument
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument


class Clock(ScpiInstrument):
    """A virtual rack's time base; a real bench has none."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, load_table("crossbar-hil-clock"))
        self.actions |= {"time": lambda c: f"{bench.now_s:.9f}", "wait": self._wait}

    def _wait(self, call: Call) -> Reply:
        self.bench.advance(max(0.0, call.p.number()))
        return "1"
