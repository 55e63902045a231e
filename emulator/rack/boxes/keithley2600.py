"""Virtual Keithley 2600B: TSP, two channels, reading buffers, indefinite blocks."""

from __future__ import annotations

import struct

from emulator.rack.bench import Bench
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.sources import Refused, SmuChannel, Unit
from emulator.rack.tsp import TspBox, Value
from firmware_specs.racks.wiring import Instrument

CONSTANTS = {
    "format.ASCII": 1.0,
    "format.SREAL": 2.0,
    "format.REAL32": 2.0,
    "format.REAL": 3.0,
    "format.REAL64": 3.0,
    "format.NORMAL": 0.0,
    "format.BIGENDIAN": 0.0,
    "format.SWAPPED": 1.0,
    "format.LITTLEENDIAN": 1.0,
}
UNITS: dict[str, Unit] = {"v": "volts", "i": "amps"}


class Keithley2600Box(TspBox):
    """Channels `smua` and `smub`."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec)
        self.channels = {c: SmuChannel(bench, f"{name}.{c}", spec.facts, inaccuracy) for c in "ab"}
        self.buffers: dict[str, list[float]] = {}
        self._format, self._order = 1.0, 1.0
        self._other: dict[tuple[str, str], float] = {}

    def get(self, path: str) -> Value:
        """Attributes of channels, format, node."""
        if path in CONSTANTS:
            return CONSTANTS[path]
        if path in ("format.data", "format.byteorder"):
            return self._format if path == "format.data" else self._order
        if path == "localnode.linefreq":
            return float(self.bench.rack.timing.line_frequency_hz)
        if path == "localnode.model":
            return "2636B"
        if path.startswith("status.measurement.instrument.smu") and path.endswith(".condition"):
            return float(self._condition(self._channel(path.split(".")[3])))
        smu, _, rest = path.partition(".")
        channel = self._channel(smu)
        settings = self._settings(channel)
        if rest not in settings:
            return super().get(path)
        return float(settings[rest])

    def put(self, path: str, value: Value) -> None:
        """Sets an attribute."""
        if not isinstance(value, float):
            raise Refused(-286, "TSP Runtime error at line 1: a number was expected")
        if path == "format.data":
            self._format = value
            return
        if path == "format.byteorder":
            self._order = value
            return
        smu, _, rest = path.partition(".")
        channel = self._channel(smu)
        unit = UNITS.get(rest[-1:], "volts")
        match rest:
            case "source.func":
                channel.set_source("volts" if value else "amps")
            case "source.levelv" | "source.leveli":
                channel.set_level(unit, value)
            case "source.rangev" | "source.rangei":
                channel.set_range(unit, value)
            case "source.limitv" | "source.limiti":
                channel.set_limit(unit, value)
            case "source.output":
                channel.set_output(bool(value))
            case "source.delay" | "measure.delay":
                channel.delay_s = value
            case "measure.rangev" | "measure.rangei":
                channel.set_measure(unit, value)
            case "measure.nplc":
                low, high = self.spec.facts.nplc
                if not low <= value <= high:
                    raise Refused(1102, "Parameter too small" if value < low else "Parameter too big")
                channel.nplc = value
            case "measure.autozero" | "source.offmode" | "sense":
                self._other[channel.terminal, rest] = value
            case _:
                super().put(path, value)

    def call(self, path: str, args: tuple[Value, ...]) -> Value | tuple[Value, ...]:
        """Measurements, buffers, resets."""
        if path == "printbuffer":
            return self._printbuffer(args)
        smu, _, rest = path.partition(".")
        channel = self._channel(smu)
        if rest == "reset":
            channel.reset()
            return None
        if rest.endswith(".clear"):
            self.buffers[f"{smu}.{rest.removesuffix('.clear')}"] = []
            return None
        if rest == "measure.iv":
            seen = channel.read()
            return (seen.amps, seen.volts)
        if rest in ("measure.i", "measure.v"):
            seen = channel.read()
            value = seen.amps if rest.endswith("i") else seen.volts
            if args:
                self.buffers.setdefault(str(args[0]), []).append(value)
            return value
        return super().call(path, args)

    def _printbuffer(self, args: tuple[Value, ...]) -> bytes:
        first, last, name = args[0], args[1], str(args[2]).removesuffix(".readings")
        if not isinstance(first, float) or not isinstance(last, float):
            raise Refused(-286, "TSP Runtime error at line 1: a number was expected")
        values = self.buffers.get(name, [])[int(first) - 1 : int(last)]
        if self._format == CONSTANTS["format.ASCII"]:
            return ", ".join(f"{v:.5e}" for v in values).encode() + b"\n"
        kind = "f" if self._format == CONSTANTS["format.REAL32"] else "d"
        order = "<" if self._order else ">"
        return b"#0" + struct.pack(f"{order}{len(values)}{kind}", *values) + b"\n"

    def _settings(self, channel: SmuChannel) -> dict[str, float]:
        other = {key[1]: value for key, value in self._other.items() if key[0] == channel.terminal}
        return other | {
            "source.func": float(channel.source == "volts"),
            "source.levelv": channel.level["volts"],
            "source.leveli": channel.level["amps"],
            "source.rangev": channel.full["volts"],
            "source.rangei": channel.full["amps"],
            "source.limitv": channel.limit["volts"],
            "source.limiti": channel.limit["amps"],
            "source.output": float(channel.on),
            "source.delay": channel.delay_s,
            "measure.delay": channel.delay_s,
            "measure.rangev": channel.measure["volts"] or channel.full["volts"],
            "measure.rangei": channel.measure["amps"] or channel.full["amps"],
            "measure.nplc": channel.nplc,
        }

    def _condition(self, channel: SmuChannel) -> int:
        port = self.bench.ports.get(channel.terminal)
        limited = channel.on and getattr(port, "limited", lambda _: False)(self.bench.terminal_volts(channel.terminal))
        return 0 if not limited else (2 if channel.source == "volts" else 1)

    def _channel(self, smu: str) -> SmuChannel:
        if smu not in ("smua", "smub"):
            raise Refused(-286, f"TSP Runtime error at line 1: attempt to index global {smu!r} (a nil value)")
        return self.channels[smu[-1]]
