"""Reading buffers of a 2450 in its TSP command set, as scripts see them (bufferVar.* of its reference manual)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.instruments.buffers import EPOCH_S, Buffer, Entry, element
from emulator.instruments.keithley_buffers import DEFAULT_SIZE, DEFAULTS, LARGEST, MOST_BUFFERS
from emulator.instruments.refused import Refused

UNITS = {"V": "Volt DC", "A": "Amp DC", "Ohm": "Ohm", "W": "Watt DC"}
COLUMNS: dict[str, Callable[[Entry, float], float | str]] = {
    "readings": lambda e, first: e.value,
    "sourcevalues": lambda e, first: e.sourced,
    "relativetimestamps": lambda e, first: e.at_s - first,
    "seconds": lambda e, first: float(EPOCH_S + int(e.at_s)),
    "fractionalseconds": lambda e, first: element("FRACtional", e, first, ""),
    "timestamps": lambda e, first: element("TSTamp", e, first, ""),
    "dates": lambda e, first: element("DATE", e, first, ""),
    "times": lambda e, first: element("TIME", e, first, ""),
    "units": lambda e, first: UNITS[e.unit],
    "sourceunits": lambda e, first: UNITS[e.source_unit],
    "formattedreadings": lambda e, first: element("FORMatted", e, first, "{:+.5E}"),
    "sourceformattedvalues": lambda e, first: element("SOURFORMatted", e, first, "{:+.5E}"),
    "statuses": lambda e, first: float(e.status),
    "sourcestatuses": lambda e, first: float(e.source_status),
    "extravalues": lambda e, first: 0.0,
}
NUMERIC = ("readings", "sourcevalues", "relativetimestamps", "seconds", "fractionalseconds", "extravalues")
NAMES = "n capacity= fillmode= startindex endindex logstate="
LEAST = 10
NO_BUFFER = Refused(-286, "TSP Runtime error at line 1: a reading buffer was expected")
FULL = Refused(4915, "Reading buffer is full")
TOO_LARGE = Refused(1103, "Parameter too big")


class TspBuffers:
    """All buffers of one box: the two default ones, and those that scripts make."""

    def __init__(self) -> None:
        self._named: dict[str, Buffer] = {}
        self._log: dict[str, Any] = {}
        self.reset()

    def reset(self) -> None:
        """The default buffers, empty; those of scripts are gone."""
        self._named = {name: Buffer(DEFAULT_SIZE) for name in DEFAULTS}
        self._log = {}

    def __contains__(self, path: object) -> bool:
        return path in self._named

    def of(self, path: Any) -> Buffer:
        """A buffer that a script hands over, `defbuffer1` where it hands none.

        Raises:
            Refused: it is none.
        """
        found = self._named.get(DEFAULTS[0] if path is None else path)
        if found is None:
            raise NO_BUFFER
        return found

    def make(self, size: float) -> str:
        """A buffer of a script's own, by its path; it fills once."""
        if (size and not LEAST <= size <= LARGEST) or len(self._named) >= MOST_BUFFERS:
            raise TOO_LARGE
        path = f"made{len(self._named)}"
        self._named[path] = Buffer(int(size) or LARGEST, once=True)
        return path

    def delete(self, path: Any) -> None:
        """A buffer of a script's own goes."""
        if path in DEFAULTS or path not in self._named:
            raise NO_BUFFER
        del self._named[path]

    def add(self, path: str, entry: Entry) -> None:
        """Keeps a reading; a full buffer that fills once takes no more."""
        if not self.of(path).add(entry):
            raise FULL

    def get(self, path: str, name: str) -> Any:
        """An attribute of a buffer."""
        buffer = self.of(path)
        match name:
            case "n" | "endindex":
                return len(buffer.entries)
            case "startindex":
                return min(1, len(buffer.entries))
            case "capacity":
                return buffer.size
            case "fillmode":
                return int(not buffer.once)
            case "logstate":
                return self._log.get(path, "buffer.OFF")
        raise Refused(-286, f"TSP Runtime error at line 1: no attribute {name!r}")

    def put(self, path: str, name: str, value: Any) -> None:
        """Sets an attribute of a buffer; what it held is gone with another size or another way to fill."""
        buffer = self.of(path)
        if name == "capacity" and isinstance(value, int | float) and (not value or LEAST <= value <= LARGEST):
            buffer.resize(int(value) or LARGEST)
        elif name == "fillmode" and value in (0, 1):
            buffer.once = not value
            buffer.entries.clear()
        elif name == "logstate":
            self._log[path] = value
        else:
            raise Refused(-286, f"TSP Runtime error at line 1: {name!r} does not take {value!r}")

    def column(self, path: str) -> list[float | str] | None:
        """Values of `defbuffer1.units`, or the readings of a buffer; None where the path is neither."""
        owner, _, name = path.rpartition(".")
        if path in self._named:
            owner, name = path, "readings"
        if owner not in self._named or name not in COLUMNS:
            return None
        entries, read = self._named[owner].entries, COLUMNS[name]
        return [read(entry, entries[0].at_s) for entry in entries]

    def statistics(self, path: Any) -> tuple[Any, ...]:
        """Count, mean, standard deviation, least reading and when, most reading and when; nil where undefined."""
        entries = self.of(path).entries
        if not entries:
            return 0, None, None, None, None, None, None
        buffer = self.of(path)
        least, most = min(entries, key=lambda e: e.value), max(entries, key=lambda e: e.value)
        spread = buffer.statistic("sd") if len(entries) > 1 else None
        return (
            len(entries),
            buffer.statistic("mean"),
            spread,
            least.value,
            EPOCH_S + least.at_s,
            most.value,
            EPOCH_S + most.at_s,
        )
