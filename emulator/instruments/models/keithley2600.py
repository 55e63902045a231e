"""Virtual Keithley Series 2600B: TSP, one or two channels, reading buffers, sweeps by its trigger model and scripts."""

from __future__ import annotations

import struct
from importlib import resources
from typing import Any

from emulator.instruments.models.keithley2600_buffers import BUFFER_NAMES, ReadingBuffer
from emulator.instruments.models.keithley2600_overlapped import Overlapped
from emulator.instruments.models.keithley2600_smu import CURRENT_LIMIT, VOLTAGE_LIMIT, SmuObject
from emulator.instruments.refused import Refused
from emulator.instruments.smu import SmuChannel
from emulator.instruments.tsp.box import TspBox
from emulator.instruments.tsp.common import whole
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.identity import fields
from firmware_specs.racks.wiring import Instrument

ASCII, REAL32 = 1, 2
OVER = 1.01
NO_BUFFER = Refused(-286, "TSP Runtime error at line 1: a reading buffer was expected")
MOST_BUFFERS = 1000
SWEEPING = "status.operation.sweeping.condition"
DISPLAY = (
    "settext", "clear", "setcursor", "sendkey", "getannunciators", "getlastkey", "loadmenu.add",
)  # fmt: skip


class Keithley2600(TspBox):
    """Channels `smua` and, where the model has it, `smub`."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.channels = {
            letter: SmuChannel(bench, f"{name}.{letter}", spec.facts, inaccuracy, OVER)
            for letter in spec.facts.channels
        }
        self.smus: dict[str, SmuObject] = {}
        self.buffers: dict[str, ReadingBuffer] = {}
        self.overlapped = Overlapped()
        super().__init__(bench, name, spec, "keithley-2600")

    def furnish(self) -> None:
        """Channels, buffers, functions of the box."""
        model = self.spec.facts.identity.split(",")[1].split()[-1]
        self.tree.computed["localnode.model"] = lambda: model
        self.tree.computed["localnode.revision"] = lambda: fields(self.spec.facts.identity)[3]
        self.tree.computed[SWEEPING] = self.overlapped.condition
        self.tree.computed |= {
            "status.measurement.condition": lambda: self._limits(VOLTAGE_LIMIT) | self._limits(CURRENT_LIMIT),
            "status.measurement.voltage_limit.condition": lambda: self._limits(VOLTAGE_LIMIT, each=True),
            "status.measurement.current_limit.condition": lambda: self._limits(CURRENT_LIMIT, each=True),
        }
        for letter, channel in self.channels.items():
            smu = SmuObject(self, f"smu{letter}", channel)
            self.smus[letter] = smu
            smu.wire()
            for number_ in (1, 2):
                self.buffers[f"smu{letter}.nvbuffer{number_}"] = ReadingBuffer()
        for path in DISPLAY:
            self.methods[f"display.{path}"] = lambda *_: None
        super().furnish()
        for path in self.buffers:
            if path.endswith(("nvbuffer1", "nvbuffer2")):
                self.lua.make("buffer", path)
        for letter in self.channels:
            self.lua.make("smu", f"smu{letter}")
        for name in ("shared", "factory"):
            self.lua.run((resources.files("emulator.instruments.tsp") / f"{name}.lua").read_text("utf-8"))

    def reset(self) -> None:
        """All channels and the format to defaults."""
        super().reset()
        for smu in self.smus.values():
            smu.reset()

    def _limits(self, bit: int, each: bool = False) -> int:
        """A measurement register's bit where a channel is in this limit; `each`: bit 1 is smua, bit 2 smub."""
        held = [place for place, smu in enumerate(self.smus.values()) if smu.condition() & bit]
        return sum(2 << place for place in held) if each else bit * bool(held)

    def buffer(self, path: Any) -> ReadingBuffer:
        """A buffer a script hands over."""
        found = self.buffers.get(path) if isinstance(path, str) else None
        if found is None:
            raise NO_BUFFER
        return found

    def make_buffer(self, size: float) -> str:
        """A buffer of a script's own."""
        if not 1 <= size <= 1e6 or len(self.buffers) >= MOST_BUFFERS:
            raise Refused(1103, "Parameter too big")
        path = f"buffer{len(self.buffers)}"
        self.buffers[path] = ReadingBuffer(int(size))
        return path

    def names(self, path: str) -> str:
        """Buffers have attributes of their own."""
        return BUFFER_NAMES if path in self.buffers else super().names(path)

    def item(self, path: str, index: float) -> Any:
        """A reading by its number; nil where there is none."""
        owner, _, column = path.rpartition(".")
        if path in self.buffers:
            owner, column = path, "readings"
        if owner not in self.buffers:
            return super().item(path, index)
        values = self.buffers[owner].column(column)
        return values[int(index) - 1] if 1 <= index <= len(values) else None

    def other(self, path: str, *given: Any) -> Any:
        """`clear` of a buffer."""
        owner, _, verb = path.rpartition(".")
        if verb == "clear" and owner in self.buffers:
            self.buffers[owner].clear()
            return None
        return super().other(path, *given)

    def _host(self, verb: str, *given: Any) -> Any:
        """Attributes of buffers are their own; sweeps under way come first."""
        if self.overlapped.under_way and _waits(verb, given):
            self.overlapped.finish()
        buffer = self.buffers.get(given[0]) if verb in ("get", "put") else None
        if buffer is not None and isinstance(given[1], str):
            return buffer.get(given[1]) if verb == "get" else buffer.put(given[1], given[2])
        return super()._host(verb, *given)

    def _arrived(self, line: str) -> None:
        """`*TRG` starts the sweeps that wait for it."""
        if not (line.upper() == "*TRG" and self.overlapped.trigger()):
            super()._arrived(line)

    def printbuffer(self, *given: Any) -> None:
        """`first, last, column, ...`: readings in turn; a buffer alone means its readings."""
        first, last = (whole(given[i] if len(given) > i else None) for i in (0, 1))
        columns = [self._column(path) for path in given[2:]]
        last = min(last, max(map(len, columns), default=0))
        values = [column[i] for i in range(max(0, first - 1), last) for column in columns if i < len(column)]
        self.write_numbers(values)

    def _column(self, path: Any) -> list[float]:
        owner, _, column = str(path).rpartition(".")
        if owner in self.buffers:
            return self.buffers[owner].column(column)
        return self.buffer(path).column("readings")

    def write_numbers(self, values: Any) -> None:
        """Text with commas, or an indefinite block."""
        values, form = list(values), self.tree.get("format.data")
        if form == ASCII:
            self.say((", ".join(self.text(float(value)) for value in values) + "\n").encode())
            return
        order = "<" if self.tree.get("format.byteorder") else ">"
        self.say(b"#0" + struct.pack(f"{order}{len(values)}{'f' if form == REAL32 else 'd'}", *values) + b"\n")


def _waits(verb: str, given: tuple[Any, ...]) -> bool:
    """Does a script ask for what a sweep under way changes?"""
    if verb in ("get", "put", "call"):
        return given[0].startswith(("smu", "buffer", "waitcomplete", "reset"))
    return verb in ("printbuffer", "delay")
