"""What every instrument driver does alike: who it is, its defaults, its error queue, the end of its session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from drivers.errors import ProtocolViolation
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.smu import SmuChannel
from firmware_specs.racks.facts import Facts

QUEUE_DEPTH = 100


def scpi_errors(dialogue: Dialogue) -> list[str]:
    """Pops a SCPI error queue until it says 0; texts are kept as the box words them."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        entry = dialogue.ask("SYST:ERR?")
        code = entry.partition(",")[0]
        try:
            if int(code) == 0:
                return found
        except ValueError as error:
            raise ProtocolViolation(f"SYST:ERR? answered {entry!r}", device=dialogue.address) from error
        found.append(entry)
    raise ProtocolViolation(f"the error queue did not empty in {QUEUE_DEPTH} reads", device=dialogue.address)


def tsp_errors(dialogue: Dialogue) -> list[str]:
    """Empties the error queue of a TSP box: code and text of each entry."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        if not int(float(dialogue.ask("print(errorqueue.count)"))):
            return found
        code, text, *_ = dialogue.ask("print(errorqueue.next())").split("\t")
        found.append(f"{int(float(code))} {text}")
    raise ProtocolViolation(f"the error queue did not empty in {QUEUE_DEPTH} reads", device=dialogue.address)


class BenchInstrument:
    """One box.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Mains frequency, for deadlines.
        facts: Of its model, where they are known.
        drain: How its error queue is read.

    Attributes:
        channels: Source-measure channels, where it has any.
    """

    channels: Mapping[str, SmuChannel] = MappingProxyType({})

    def __init__(
        self,
        dialogue: Dialogue,
        name: str,
        line_hz: float = 50.0,
        facts: Facts | None = None,
        drain: Callable[[Dialogue], list[str]] = scpi_errors,
    ) -> None:
        self.dialogue = dialogue
        self.name = name
        self.line_hz = line_hz
        self.facts = facts
        self._drain = drain

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        return self.dialogue.ask("*IDN?")

    def reset(self) -> None:
        """Defaults: outputs off, relays open, error queue empty."""
        self.dialogue.write("*RST")
        self.dialogue.write("*CLS")
        self.dialogue.ask("*OPC?")
        self._forget()

    def errors(self) -> list[str]:
        """Empties the error queue."""
        return self._drain(self.dialogue)

    def done(self) -> None:
        """Returns when everything that was told without an answer has been done."""
        self.dialogue.ask("*OPC?")

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """Outputs that are on as it is found, by channel.

        Args:
            outputs: Channels to ask about, where the box does not know them by itself.
        """
        return [number for number, channel in self.channels.items() if channel.is_on()]

    def watch(self, seconds: float) -> bool:
        """Has the box turn its outputs off by itself once the host is silent this long; False: it cannot."""
        return False

    def safe(self) -> None:
        """Outputs off and relays open at once, without waiting for answers."""
        for line in self._off_lines():
            self.dialogue.send_regardless(line)
        for channel in self.channels.values():
            channel.on = False

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()

    def _off_lines(self) -> list[str]:
        """What makes it safe; nothing, where it drives nothing."""
        return []

    def _forget(self) -> None:
        """After a reset: no channel is configured."""
        for channel in self.channels.values():
            channel.forget()
