"""Virtual Keithley 707B: TSP, relays by slot, row letter and column."""

from __future__ import annotations

from emulator.rack.bench import Bench
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.sources import Refused
from emulator.rack.tsp import TspBox, Value
from firmware_specs.racks.wiring import Instrument


class Keithley707Box(TspBox):
    """Break before make by default, as the box does it: opens before it closes."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec)
        self._rule = 1.0
        self._own = {channel for box, channel in bench.relays if box == name}

    def get(self, path: str) -> Value:
        """The connect rule."""
        return self._rule if path == "channel.connectrule" else super().get(path)

    def put(self, path: str, value: Value) -> None:
        """The connect rule."""
        if path != "channel.connectrule" or not isinstance(value, float):
            super().put(path, value)
        else:
            self._rule = value

    def call(self, path: str, args: tuple[Value, ...]) -> Value | tuple[Value, ...]:
        """Relays."""
        match path:
            case "reset" | "channel.reset":
                self._move(self._closed(), False)
                self._rule = 1.0
                return None
            case "channel.close":
                self._move(self._names(args), True)
                return None
            case "channel.open":
                self._move(self._names(args), False)
                return None
            case "channel.exclusiveclose":
                wanted = self._names(args)
                self._move([c for c in self._closed() if c not in wanted], False)
                self._move(wanted, True)
                return None
            case "channel.getclose":
                wanted = self._names(args)
                return ";".join(c for c in self._closed() if c in wanted) or "nil"
        return super().call(path, args)

    def _closed(self) -> list[str]:
        return sorted(channel for box, channel in self.bench.closed if box == self.name)

    def _names(self, args: tuple[Value, ...]) -> list[str]:
        if not args or not isinstance(args[0], str):
            raise Refused(1115, "Parameter error parameter 1")
        if args[0] == "allslots":
            return sorted(self._own)
        names = [name.strip() for name in args[0].split(",")]
        if unknown := [name for name in names if name not in self._own]:
            raise Refused(1114, f"Invalid channel specified {unknown[0]}")
        return names

    def _move(self, channels: list[str], close: bool) -> None:
        for channel in channels:
            self.bench.switch(self.name, channel, close)
        if channels:
            self.bench.advance(self.spec.facts.relay_s)
