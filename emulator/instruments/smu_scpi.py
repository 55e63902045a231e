"""What SCPI source-measure units do alike: the settings of the table act on the channel, queries answer what it has."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.instruments.core import ScpiInstrument
from emulator.instruments.refused import Refused
from emulator.instruments.smu import OffMode, SmuChannel, Unit
from emulator.rack.stand import Stand
from firmware_specs.instruments import Table
from firmware_specs.racks.wiring import Instrument

WORDS: dict[Unit, str] = {"volts": "VOLTage", "amps": "CURRent"}
UNITS: tuple[Unit, ...] = ("volts", "amps")
OFF_MODES: dict[str, OffMode] = {
    "NORMal": "normal",
    "HIMPedance": "himp",
    "HIZ": "himp",
    "ZERO": "zero",
    "GUARd": "guard",
}
CONFLICT = Refused(-221, "Settings conflict")


class ScpiSmu(ScpiInstrument):
    """A `ScpiInstrument` with source-measure channels.

    Args:
        bench: What it stands on.
        name: As the bench calls it.
        spec: Model and serial.
        table: Its command set.
        channels: By number; a box with one has it at 1, whatever the header's suffix.

    Attributes:
        range_name: Factor between a range and the number the box calls it by.
    """

    range_name = 1.0

    def __init__(
        self, bench: Stand, name: str, spec: Instrument, table: Table, channels: Mapping[int, SmuChannel]
    ) -> None:
        super().__init__(bench, name, spec, table)
        self.channels = dict(channels)
        self.computed |= {
            "system.line": lambda *_: int(bench.line_hz),
            "interlock": lambda *_: int("interlock" in bench.faults),
            "output": lambda *s: self.channel(*s).on,
            "source.function": lambda *s: WORDS[self.channel(*s).source],
        }
        self.hooks |= {
            "output": lambda on, *s: self.channel(*s).set_output(bool(on)),
            "source.function": lambda word, *s: self.channel(*s).set_source(_unit(word)),
            "terminals": lambda word, *s: self.channel(*s).set_front(word == "FRONt"),
        }
        for unit in UNITS:
            self._wire(unit)
        self._actions_without_effect()
        self.reset()

    def channel(self, *suffixes: int) -> SmuChannel:
        """The channel that suffixes name."""
        if len(self.channels) == 1 and 1 in self.channels:
            return self.channels[1]
        found = self.channels.get(suffixes[0] if suffixes else 1)
        if found is None:
            raise Refused(-114, "Header suffix out of range")
        return found

    def reset(self) -> None:
        """Channels to the defaults of the table."""
        for number, channel in self.channels.items():
            suffixes = (number,) if len(self.channels) > 1 else self._suffixes
            channel.reset()
            for unit in UNITS:
                channel.limit[unit] = self.number(f"limit.{unit}", *suffixes)
                channel.full[unit] = channel.range(unit, self.number(f"range.{unit}", *suffixes)).full
            channel.set_output(False)

    _suffixes: tuple[int, ...] = ()
    """Suffixes under which a box with one channel keeps its settings."""

    def _wire(self, unit: Unit) -> None:
        self.computed |= {
            f"level.{unit}": lambda *s: self.channel(*s).level[unit],
            f"range.{unit}": lambda *s: self.channel(*s).full[unit] * self.range_name,
            f"auto.{unit}": lambda *s: self.channel(*s).auto[unit],
            f"limit.{unit}": lambda *s: self.channel(*s).limit[unit],
            f"measure.{unit}": lambda *s: self.channel(*s).measure_range(unit) * self.range_name,
            f"measure.auto.{unit}": lambda *s: self.channel(*s).measure[unit] is None,
            f"tripped.{unit}": lambda *s: int(self.tripped(unit, self.channel(*s))),
        }
        self.hooks |= {
            f"level.{unit}": lambda v, *s: self.channel(*s).set_level(unit, float(v)),
            f"range.{unit}": lambda v, *s: self.channel(*s).set_range(unit, float(v)),
            f"auto.{unit}": lambda on, *s: self.channel(*s).set_auto(unit, bool(on)),
            f"limit.{unit}": lambda v, *s: self.channel(*s).set_limit(unit, abs(float(v))),
            f"measure.{unit}": lambda v, *s: self.channel(*s).set_measure(unit, abs(float(v))),
            f"measure.auto.{unit}": lambda on, *s: self._measure_auto(unit, bool(on), *s),
            f"delay.{unit}": lambda v, *s: self.keep(f"delay.auto.{unit}", False, *s),
        }

    def append_to_lists(self, unit: Unit) -> None:
        """`SOURce:LIST` of a unit: values are appended and counted."""
        self.hooks[f"list.append.{unit}"] = lambda more, *s: self.keep(
            f"list.{unit}", (*self.numbers(f"list.{unit}", *s), *more), *s
        )
        self.computed[f"list.points.{unit}"] = lambda *s: len(self.numbers(f"list.{unit}", *s))

    def tripped(self, unit: Unit, channel: SmuChannel) -> bool:
        """Does the limit of a unit hold now?"""
        return channel.source != unit and channel.limited()

    def _measure_auto(self, unit: Unit, on: bool, *suffixes: int) -> None:
        channel = self.channel(*suffixes)
        channel.set_measure(unit, None if on else channel.measure_range(unit))

    def _actions_without_effect(self) -> None:
        """Beeps, screens and the like: taken, without effect."""
        self.hooks["ignore"] = lambda *_: None


def _unit(word: object) -> Unit:
    return "volts" if word == "VOLTage" else "amps"
