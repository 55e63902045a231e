"""The lowest choke point of a rack: every command line is read before it goes out, whoever wrote it.

Instrument libraries format set-points themselves, some cut them to their own range without a word. So the text is
what is checked: each command that sets a level, a compliance or a source range must be one we know, with a number
within what is allowed at that moment. A source command we do not know is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from drivers.errors import OutOfRange

_SCPI = re.compile(
    r"^:?(?P<root>SOUR(?:CE)?|SENS(?:E)?)\d*:(?:LIST:)?(?P<unit>VOLT|CURR)(?:AGE|ENT)?(?P<tail>(?::[A-Z]+)*)\s+(?P<value>.+)$",
    re.IGNORECASE,
)
_SOURCE_HEADER = re.compile(r"^:?SOUR(?:CE)?\d*:\S*(?:VOLT|CURR)[^\s?]*\s", re.IGNORECASE)
_TSP = re.compile(r"smu[ab]\.source\.(?P<tail>\w+)\s*=(?!=)\s*(?P<value>[^\s;]+)")
_FLEX = re.compile(r"^(?P<verb>[A-Z]{2,5})\s*(?P<channel>\d+)\s*,\s*(?P<rest>[^:]+)$", re.IGNORECASE)
"""`DV 1, 12, 0.1, 1e-3` of a B1500A, `DV1,1,0.1,1e-3` of a 4200A: channel, number of a range, level, compliance."""
_FLEX_FORCES = {"DV": ("VOLT", "CURR"), "DI": ("CURR", "VOLT")}
_FLEX_HARMLESS = {"TI", "TV", "AIT", "AAD", "AV", "FMT", "CN", "CL", "DZ", "MM", "FL", "CMM", "RI", "RV", "RANGE"}
_STAGE = re.compile(r"^SETP\s*\d+\s*,\s*(?P<value>.+)$", re.IGNORECASE)
_LEVEL = {"", "LEV", "LEVEL", "TRIG", "TRIGGERED", "LIST"}
_LIMIT = {"ILIM": "CURR", "VLIM": "VOLT"}
_RANGE = {"RANG", "RANGE"}
_HARMLESS = {
    "AUTO",
    "MODE",
    "NPLC",
    "NPLCYCLES",
    "DEL",
    "READ",
    "BACK",
    "AZER",
    "AVER",
    "RSEN",
    "RSENSE",
    "APER",
    "ZERO",
}
_TSP_SETTINGS = {
    "levelv": ("level", "VOLT"),
    "leveli": ("level", "CURR"),
    "limitv": ("limit", "VOLT"),
    "limiti": ("limit", "CURR"),
    "rangev": ("range", "VOLT"),
    "rangei": ("range", "CURR"),
}
_TSP_HARMLESS = {"func", "output", "offmode", "delay", "settling", "highc", "sink"}


@dataclass(frozen=True)
class Allowed:
    """What may be sent at this moment.

    Attributes:
        level_v: Largest voltage to source.
        level_a: Largest current to source.
        limit_v: Largest voltage compliance.
        limit_a: Largest current compliance.
        kelvin: Coldest and hottest set-point of a temperature stage.
    """

    level_v: float
    level_a: float
    limit_v: float
    limit_a: float
    kelvin: tuple[float, float] = (0.0, 0.0)

    def of(self, kind: str, unit: str) -> float:
        """The limit of a level, a compliance or a range, `VOLT` or `CURR`."""
        if kind == "limit":
            return self.limit_v if unit == "VOLT" else self.limit_a
        return self.level_v if unit == "VOLT" else self.level_a


class Fence:
    """Reads command lines of one instrument; refuses what is beyond the limits.

    Args:
        device: Named in errors.
        allowed: Limits at rest.
        margin: A source range may reach this much beyond the limit: ranges come in decades.
    """

    def __init__(self, device: str, allowed: Allowed, margin: float = 10.0) -> None:
        self.device = device
        self.allowed = allowed
        self._margin = margin

    @contextmanager
    def raised(self, volts: float) -> Iterator[None]:
        """Allows more volts for a moment (a programming pulse); the compliance stays."""
        before = self.allowed
        self.allowed = replace(before, level_v=volts)
        try:
            yield
        finally:
            self.allowed = before

    def check(self, text: str) -> None:
        """Reads one line.

        Raises:
            OutOfRange: a set-point is beyond the limits, not a finite number, or a command we do not know.
        """
        for match in _TSP.finditer(text):
            self._tsp(match, text)
        for command in _split(text):
            if found := _SCPI.match(command):
                self._scpi(found, command)
            elif found := _STAGE.match(command):
                self._warm(found["value"], command)
            elif found := _FLEX.match(command):
                self._flex(found, command)
            elif _SOURCE_HEADER.match(command):
                raise OutOfRange(
                    f"{command!r}: a source command the fence does not know; nothing was sent", device=self.device
                )

    def _tsp(self, match: re.Match[str], text: str) -> None:
        tail = match["tail"]
        if tail in _TSP_HARMLESS:
            return
        if tail not in _TSP_SETTINGS:
            raise OutOfRange(
                f"{text!r}: a source setting the fence does not know; nothing was sent", device=self.device
            )
        kind, unit = _TSP_SETTINGS[tail]
        self._within(kind, unit, match["value"], text)

    def _scpi(self, match: re.Match[str], command: str) -> None:
        tail = [part for part in match["tail"].upper().split(":") if part]
        unit, sensing = match["unit"].upper(), match["root"].upper().startswith("SENS")
        value = match["value"].split(",(@")[0].strip()
        if tail[:1] and tail[0] in ("PROT", "PROTECTION"):
            self._within("limit", unit, value, command)
        elif tail[-1:] and tail[-1] in _HARMLESS:
            if tail[-1] == "AUTO" and tail[-2:-1] and tail[-2] in _RANGE and not sensing and value not in ("0", "OFF"):
                raise OutOfRange(
                    f"{command!r}: a source range is fixed, never automatic; nothing was sent", device=self.device
                )
        elif sensing:
            return
        elif tail[:1] and tail[0] in _LIMIT:
            self._within("limit", _LIMIT[tail[0]], value, command)
        elif tail[-1:] and tail[-1] in _RANGE:
            self._within("range", unit, value, command)
        elif (tail[0] if tail else "") in _LEVEL:
            for one in value.split(","):
                self._within("level", unit, one, command)
        else:
            raise OutOfRange(
                f"{command!r}: a source command the fence does not know; nothing was sent", device=self.device
            )

    def _flex(self, match: re.Match[str], command: str) -> None:
        verb, rest = match["verb"].upper(), [part.strip() for part in match["rest"].split(",")]
        if verb in _FLEX_HARMLESS:
            return
        if verb not in _FLEX_FORCES:
            raise OutOfRange(f"{command!r}: a command the fence does not know; nothing was sent", device=self.device)
        if len(rest) < 3:
            raise OutOfRange(f"{command!r}: a level without a compliance; nothing was sent", device=self.device)
        if not rest[0].isdigit() or int(rest[0]) == 0:
            raise OutOfRange(
                f"{command!r}: a source range is fixed, never automatic; nothing was sent", device=self.device
            )
        unit, other = _FLEX_FORCES[verb]
        self._within("level", unit, rest[1], command)
        self._within("limit", other, rest[2], command)

    def _warm(self, text: str, command: str) -> None:
        low, high = self.allowed.kelvin
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise OutOfRange(
                f"{command!r}: the stage may be set to {low:g} .. {high:g} K; nothing was sent", device=self.device
            )

    def _within(self, kind: str, unit: str, text: str, command: str) -> None:
        try:
            value = float(text)
        except ValueError:
            raise OutOfRange(f"{command!r}: {text!r} is not a number; nothing was sent", device=self.device) from None
        limit = self.allowed.of(kind, unit)
        if kind == "range":
            limit *= self._margin
        if not math.isfinite(value) or abs(value) > limit * (1 + 1e-6):
            symbol = "V" if unit == "VOLT" else "A"
            raise OutOfRange(
                f"{command!r}: {kind} {value:g} {symbol} is beyond {limit:g} {symbol}; nothing was sent",
                device=self.device,
            )


def _split(text: str) -> list[str]:
    """Commands of a line, with the path that `;` carries on written out."""
    commands: list[str] = []
    path = ""
    for part in text.split(";"):
        command = part.strip()
        if not command or command.startswith("*"):
            continue
        if not command.startswith(":") and commands:
            command = f"{path}{command}"
        header = command.split(None, 1)[0]
        path = header.rpartition(":")[0] + ":" if ":" in header else ""
        commands.append(command)
    return commands
