"""Keysight 34980A mainframe: matrix and relay cards, a scanned multiplexer before its meter, 34951A DACs.

PyMeasure has no driver for it. The DAC commands are unverified on a box of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers import answers
from drivers.errors import OutOfRange, ProtocolViolation
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.readback import confirm, reading
from firmware_specs.racks.facts import Facts


class Keysight34980A(BenchInstrument):
    """A `SwitchMatrix`, `Scanner` and `VoltageSource`; channels are `srcc` (matrix) or `sccc` (others), slot first."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts)
        self._scan: tuple[str, ...] = ()
        self._scan_settings = (10.0, 1.0)
        self._levels: dict[str, float] = {}
        self._relays: set[str] = set()

    def reset(self) -> None:
        """Defaults: relays open, outputs off."""
        super().reset()
        self._scan, self._levels, self._relays = (), {}, set()

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """DAC outputs that are on."""
        if not outputs:
            return []
        return [channel for channel, on in self._states("OUTP?", outputs).items() if on]

    def close_channels(self, channels: Sequence[str]) -> None:
        """Closes relays, waits for them, reads them back."""
        self._relay("CLOS", channels)
        self._relays |= set(channels)

    def open_channels(self, channels: Sequence[str]) -> None:
        """Opens relays, waits for them, reads them back."""
        self._relay("OPEN", channels)

    def closed(self) -> frozenset[str]:
        """Those of the channels ever asked for that the box says are closed."""
        known = sorted(self._relays)
        if not known:
            return frozenset()
        return frozenset(channel for channel, closed in self._states("ROUT:CLOS?", known).items() if closed)

    def open_all(self) -> None:
        """Opens everything, read back."""
        self.dialogue.write("ROUT:OPEN:ALL")
        self.dialogue.barrier()
        if still := self.closed():
            raise ProtocolViolation(f"relays {', '.join(sorted(still))} did not open", device=self.name)

    def configure(self, *, range_v: float, nplc: float) -> None:
        """Range and integration of scanned readings."""
        self._scan, self._scan_settings = (), (range_v, nplc)

    def scan(self, channels: Sequence[str]) -> NDArray[np.float64]:
        """One reading a channel; the list is sent only when it changed."""
        range_v, nplc = self._scan_settings
        if tuple(channels) != self._scan:
            wanted = _list(channels)
            self.dialogue.write(f"CONF:VOLT:DC {range_v:.9g},{wanted}")
            self.dialogue.write(f"SENS:VOLT:DC:NPLC {nplc:.9g},{wanted}")
            self.dialogue.write(f"SENS:VOLT:DC:ZERO:AUTO OFF,{wanted}")
            self.dialogue.write(f"ROUT:SCAN {wanted}")
            self._scan = tuple(channels)
        patience_s = len(channels) * (0.05 + 4 * nplc / self.line_hz)
        answer = self.dialogue.ask_tied("READ?", timeout_s=patience_s)
        values = answers.fields(answer, len(channels), "READ?", self.name)
        return np.array([reading(value, "READ?", self.name) for value in values])

    def measure(self) -> float:
        """Refused: this meter has no input of its own in a rack."""
        raise OutOfRange("the mainframe's meter is reached by its multiplexer only: use scan", device=self.name)

    def set_volts(self, volts: Mapping[str, float]) -> None:
        """Sets DAC outputs; channels of one level go in one command."""
        by_level: dict[float, list[str]] = {}
        for channel, level in volts.items():
            by_level.setdefault(level, []).append(channel)
        commands = [f":SOUR:VOLT {level:.7g},{_list(channels)}" for level, channels in by_level.items()]
        for start in range(0, len(commands), 8):
            self.dialogue.write(";".join(commands[start : start + 8]))
        self._levels.update(volts)

    def outputs(self, channels: Sequence[str], on: bool) -> None:
        """Output relays, read back; on only at 0 V."""
        if not channels:
            return
        if on and (hot := [c for c in channels if self._levels.get(c) != 0.0]):
            raise OutOfRange(f"outputs {', '.join(hot)} were not set to 0 V before they go on", device=self.name)
        wanted = _list(channels)
        self.dialogue.write(f"OUTP {'ON' if on else 'OFF'},{wanted}")
        for channel, state in self._states("OUTP?", channels).items():
            confirm(f"output {channel}", float(on), state, self.name)

    def _off_lines(self) -> list[str]:
        """DACs to 0 V and off, relays open."""
        everything = _list(self._levels)
        dacs = [f":SOUR:VOLT 0,{everything}", f"OUTP OFF,{everything}"] if self._levels else []
        return [*dacs, "ROUT:OPEN:ALL"]

    def _states(self, query: str, channels: Sequence[str]) -> dict[str, bool]:
        """What each channel says of itself, on or off."""
        answer = self.dialogue.ask(f"{query} {_list(channels)}")
        said = answers.fields(answer, len(channels), query, self.name)
        return {c: answers.flag(state, query, self.name) for c, state in zip(channels, said, strict=True)}

    def _relay(self, verb: str, channels: Sequence[str]) -> None:
        if channels:
            self.dialogue.write(f"ROUT:{verb} {_list(channels)}")
            self.dialogue.barrier()


def _list(channels: Iterable[str]) -> str:
    return f"(@{','.join(channels)})"
