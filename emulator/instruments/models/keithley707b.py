"""Virtual Keithley 707B and 708B (one slot): TSP, relays by slot, row letter and column."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from emulator.instruments.refused import Refused
from emulator.instruments.tsp.box import TspBox
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.identity import fields
from firmware_specs.racks.wiring import Instrument

SLOTS, ROWS, COLUMNS = range(1, 7), "ABCDEFGH", range(1, 13)
CARD = "7174A,8x12 Low Current Matrix,01.00a,{serial}{slot}"
"""What `slot[i].idn` answers; U."""
_CHANNEL = re.compile(r"([1-6])([A-H])(\d\d)")
MOST = 10_000


class Keithley707B(TspBox):
    """Break before make by default, as the box does it: opens before it closes."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self._wired = {channel for box, channel in bench.relays if box == name}
        self._labels: dict[str, str] = {}
        self._model = fields(spec.facts.identity)[1].split()[-1]
        self._slots = SLOTS[:1] if self._model == "708B" else SLOTS
        super().__init__(bench, name, spec, "keithley-707b")

    def furnish(self) -> None:
        """Relays and slots."""
        self.tree.computed["localnode.model"] = lambda: self._model
        self.methods |= {
            "channel.reset": lambda *given: self._open_all() if not given else self._move(self._names(given[0]), False),
            "channel.close": lambda names=None, *_: self._move(self._names(names), True),
            "channel.open": lambda names=None, *_: self._move(self._names(names), False),
            "channel.exclusiveclose": lambda names=None, *_: self._exclusive(self._names(names), ""),
            "channel.exclusiveslotclose": self._exclusive_slots,
            "channel.getclose": self._closed_of,
            "channel.getstate": self._states_of,
            "channel.setlabel": lambda name, label="", *_: self._labels.update({name: str(label)}),
            "channel.getlabel": lambda name, *_: self._labels.get(name),
            "display.settext": lambda *_: None,
            "display.clear": lambda *_: None,
        }
        super().furnish()
        for slot in self._slots:
            card = CARD.format(serial=self.spec.serial or "100", slot=slot)
            self.tree.computed[f"slot.{slot}.idn"] = partial(str, card)
            self.lua.make("indexed", f"slot.{slot}")

    def reset(self) -> None:
        """Relays open, rules as they were delivered."""
        super().reset()
        self._open_all()

    def _open_all(self) -> None:
        self._move(self._closed(), False)

    def _closed(self) -> list[str]:
        return sorted(channel for box, channel in self.bench.closed if box == self.name)

    def _names(self, given: Any) -> list[str]:
        """Channels of a list: names, ranges, `slot1`, `allslots`."""
        if not isinstance(given, str):
            raise Refused(1115, "Parameter error parameter 1")
        found: list[str] = []
        for part in filter(None, (text.strip() for text in given.split(","))):
            first, _, last = part.partition(":")
            if part.lower() == "allslots" or re.fullmatch(r"slot[1-6]", part, re.IGNORECASE):
                found += self._all(part[-1] if part[-1].isdigit() else "")
            elif last:
                found += self._between(self._one(first), self._one(last))
            else:
                found.append(self._one(part))
        return found

    def _all(self, slot: str) -> list[str]:
        """Those that may be closed: what is wired, and what was closed beside."""
        return sorted(channel for channel in self._wired.union(self._closed()) if channel.startswith(slot))

    def _one(self, name: str) -> str:
        match = _CHANNEL.fullmatch(name.upper())
        exists = match is not None and int(match[1]) in self._slots and int(match[3]) in COLUMNS
        if not exists and name.upper() not in self._wired:
            raise Refused(1114, f"Invalid channel specified {name[:20]}")
        return name.upper()

    def _between(self, first: str, last: str) -> list[str]:
        every = (f"{s}{r}{c:02d}" for s in self._slots for r in ROWS for c in COLUMNS)
        return [channel for channel in every if first <= channel <= last]

    def _move(self, channels: list[str], close: bool) -> None:
        for channel in channels:
            self.bench.switch(self.name, channel, close)
        if channels:
            self.bench.advance(self.spec.facts.relay_s)

    def _exclusive(self, wanted: list[str], slots: str) -> None:
        """Only these are closed afterwards, of all slots or of some."""
        others = [c for c in self._closed() if c not in wanted and (not slots or c[0] in slots)]
        self._move(others, False)
        self._move(wanted, True)

    def _exclusive_slots(self, names: Any = None, *_: Any) -> None:
        wanted = self._names(names)
        self._exclusive(wanted, "".join(channel[0] for channel in wanted))

    def _closed_of(self, names: Any = None, *_: Any) -> str | None:
        wanted = set(self._names(names))
        return ";".join(channel for channel in self._closed() if channel in wanted) or None

    def _states_of(self, names: Any = None, *_: Any) -> str:
        closed = set(self._closed())
        return ";".join(str(int(channel in closed)) for channel in self._names(names))

    def write_numbers(self, values: Any) -> None:
        """Text with commas."""
        self.say((", ".join(self.text(float(value)) for value in values) + "\n").encode())
