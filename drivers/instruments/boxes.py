"""What every instrument driver does alike: who it is, its defaults, its error queue, the end of its session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from drivers import answers
from drivers.errors import ProtocolViolation
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.smu import SmuChannel
from firmware_specs.racks.facts import Facts

QUEUE_DEPTH = 100
COUNT, NEXT = "print(errorqueue.count)", "print(errorqueue.next())"


def scpi_errors(dialogue: Dialogue) -> list[str]:
    """Pops a SCPI error queue until it says 0; texts are kept as the box words them."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        entry = dialogue.ask("SYST:ERR?")
        code, comma, _ = entry.partition(",")
        if not comma:
            raise answers.nonsense(entry, "SYST:ERR?", dialogue.address, "a code and a text are expected")
        if answers.whole(code, "SYST:ERR?", dialogue.address) == 0:
            return found
        found.append(entry)
    raise ProtocolViolation(f"the error queue did not empty in {QUEUE_DEPTH} reads", device=dialogue.address)


def tsp_errors(dialogue: Dialogue) -> list[str]:
    """Empties the error queue of a TSP box: code and text of each entry."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        if not answers.whole(dialogue.ask(COUNT), COUNT, dialogue.address):
            return found
        entry = dialogue.ask(NEXT)
        code, tab, rest = entry.partition("\t")
        if not tab:
            raise answers.nonsense(entry, NEXT, dialogue.address, "a code and a text are expected")
        text = rest.partition("\t")[0]
        found.append(f"{answers.whole(code, NEXT, dialogue.address)} {text}")
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
        self.dialogue.barrier()
        self._forget()

    def errors(self) -> list[str]:
        """Empties the error queue."""
        return self._drain(self.dialogue)

    def done(self) -> None:
        """Returns when everything that was told without an answer has been done."""
        self.dialogue.barrier()

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
