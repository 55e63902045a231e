"""Virtual Keithley 2400 and 2450: SCPI, one channel."""

from __future__ import annotations

from emulator.rack.bench import Bench
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.scpi import Call, ErrorStyle, Handler, Reply, ScpiBox, ignored, setting
from emulator.rack.sources import Refused, SmuChannel, Unit
from firmware_specs.racks.wiring import Instrument

STYLE_2400 = ErrorStyle('0,"No error"', '{code},"{text}"')
STYLE_2450 = ErrorStyle('0,"No error;0;0 0"', '{code},"{text};1;2026/01/01 00:00:00.000"')
NAMES: dict[Unit, str] = {"volts": "VOLT", "amps": "CURR"}


class Keithley2400Box(ScpiBox):
    """One channel, readings as volts, amperes, ohms, time, status."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.channel = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        commands: dict[str, Handler] = common(self.channel) | {
            "FORMat:ELEMents": ignored,
            "SENSe:FUNCtion:ALL": ignored,
            "SENSe:AVERage[:STATe]": setting(lambda: False, lambda c: None),
            "SENSe:CURRent:PROTection": limit(self.channel, "amps"),
            "SENSe:VOLTage:PROTection": limit(self.channel, "volts"),
            "READ": self._read,
        }
        super().__init__(bench, name, spec, STYLE_2400, commands)

    def reset(self) -> None:
        """Channel to defaults."""
        self.channel.reset()

    def _read(self, call: Call) -> Reply:
        if not self.channel.on:
            raise Refused(-221, "Settings conflict")
        seen = self.channel.read()
        values = (seen.volts, seen.amps, 9.91e37, self.bench.now_s, float(8 if seen.limited else 0))
        return ",".join(f"{value:+.6E}" for value in values)


class Keithley2450Box(ScpiBox):
    """One channel in its own command set."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.channel = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        self.function = "CURR"
        self._tripped = False
        commands: dict[str, Handler] = common(self.channel) | {
            "*LANG": lambda c: "SCPI" if c.query else None,
            "SENSe:FUNCtion[:ON]": self._function,
            "SOURce:VOLTage:ILIMit[:LEVel]": limit(self.channel, "amps"),
            "SOURce:CURRent:VLIMit[:LEVel]": limit(self.channel, "volts"),
            "SOURce:VOLTage:ILIMit[:LEVel]:TRIPped": lambda c: str(int(self._tripped)),
            "SOURce:CURRent:VLIMit[:LEVel]:TRIPped": lambda c: str(int(self._tripped)),
            "SOURce:VOLTage:READ:BACK": ignored,
            "SOURce:CURRent:READ:BACK": ignored,
            "READ": self._read,
        }
        super().__init__(bench, name, spec, STYLE_2450, commands)

    def reset(self) -> None:
        """Channel to defaults."""
        self.channel.reset()
        self.function = "CURR"

    def _function(self, call: Call) -> Reply:
        if call.query:
            return f'"{self.function}"'
        self.function = call.word()[:4]
        return None

    def _read(self, call: Call) -> Reply:
        if not self.channel.on:
            raise Refused(-221, "Settings conflict")
        seen = self.channel.read()
        self._tripped = seen.limited
        values = {"VOLT": seen.volts, "CURR": seen.amps}
        source = NAMES[self.channel.source]
        wanted = [a.upper() for a in call.args[1:]] or ["READ"]
        return ",".join(f"{values[source if w.startswith('SOUR') else self.function]:.6E}" for w in wanted)


def common(channel: SmuChannel) -> dict[str, Handler]:
    """What both boxes have."""
    commands: dict[str, Handler] = {
        "SOURce:FUNCtion[:MODE]": setting(
            lambda: NAMES[channel.source], lambda c: channel.set_source("volts" if c.word() == "VOLT" else "amps")
        ),
        "OUTPut[:STATe]": setting(lambda: channel.on, lambda c: channel.set_output(c.boolean())),
    }
    for unit, name in (("volts", "VOLTage"), ("amps", "CURRent")):
        commands |= _by_unit(channel, "volts" if unit == "volts" else "amps", name)
    return commands


def _by_unit(channel: SmuChannel, unit: Unit, name: str) -> dict[str, Handler]:
    return {
        f"SOURce:{name}[:LEVel]": setting(lambda: channel.level[unit], lambda c: channel.set_level(unit, c.number())),
        f"SOURce:{name}:RANGe": setting(lambda: channel.full[unit], lambda c: channel.set_range(unit, c.number())),
        f"SOURce:{name}:RANGe:AUTO": ignored,
        f"SENSe:{name}:RANGe": setting(
            lambda: channel.measure[unit] or channel.full[unit], lambda c: channel.set_measure(unit, c.number())
        ),
        f"SENSe:{name}:RANGe:AUTO": ignored,
        f"SENSe:{name}:NPLCycles": setting(lambda: channel.nplc, lambda c: set_nplc(channel, c.number())),
    }


def limit(channel: SmuChannel, unit: Unit) -> Handler:
    """Compliance of a unit."""
    return setting(lambda: channel.limit[unit], lambda c: channel.set_limit(unit, c.number()))


def set_nplc(channel: SmuChannel, value: float) -> None:
    """Integration within the model's range."""
    low, high = channel.facts.nplc
    if not low <= value <= high:
        raise Refused(-222, "Parameter data out of range")
    channel.nplc = value
