"""An instrument that speaks neither SCPI nor Lua: lines in, lines out."""

from __future__ import annotations

from emulator.instruments.refused import Refused
from emulator.rack.stand import Stand
from firmware_specs.racks.wiring import Instrument

LINE_LIMIT = 1 << 16


class PlainBox:
    """One instrument; a model answers lines in `carry_out`.

    Args:
        bench: What it stands on.
        name: As the bench calls it.
        spec: Model and serial; the facts say what lines end in.
    """

    deadline: float | None = None
    """It never waits for anything."""

    def __init__(self, bench: Stand, name: str, spec: Instrument) -> None:
        self.bench, self.name, self.spec = bench, name, spec
        self._end = spec.facts.ends.encode()
        self._line = bytearray()

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        if f"identity:{self.name}" in self.bench.faults:
            return "ACME,WRONG BOX,0,0"
        return self.spec.facts.identity.format(serial=self.spec.serial or "1000001")

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out; a line without an end is forgotten when it gets too long."""
        self._line += data
        said = bytearray()
        while (end := self._line.find(self._end)) >= 0:
            line = bytes(self._line[:end]).decode("latin-1").strip()
            del self._line[: end + 1]
            answer = self._answer(line) if line else None
            if answer is not None:
                said += answer.encode("latin-1") + self.line_end
        if len(self._line) > LINE_LIMIT:
            self._line.clear()
        return bytes(said)

    @property
    def line_end(self) -> bytes:
        """What answers end in."""
        return self._end

    def clear(self) -> None:
        """Device clear: what is half received is forgotten."""
        self._line.clear()

    def carry_out(self, line: str) -> str | None:
        """Does what a line says; an answer where it has one.

        Raises:
            Refused: it will not.
        """
        raise NotImplementedError

    def refuse(self, refused: Refused) -> str | None:
        """What becomes of a refusal: an entry of an error queue, or an answer."""
        self.bench.log.add("error", self.name, refused.code, refused.text)
        return None

    def _answer(self, line: str) -> str | None:
        self.bench.advance(self.spec.facts.bus_s)
        if self.bench.log.commands:
            self.bench.log.add("command", self.name, text=line)
        try:
            return self.carry_out(line)
        except Refused as refused:
            return self.refuse(refused)
