"""What the source-measure drivers share: the order of settings, and what an output may be switched on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drivers.errors import OutOfRange, ProtocolViolation


@dataclass
class SmuState:
    """What the driver has set on a channel and read back; nothing else lets an output go on.

    Attributes:
        name: Terminal, as the rack names it.
        source: What is sourced; None until a compliance was read back.
        on: Output relay.
        level: Present set-point.
        measure_s: How long a reading may take.
    """

    name: str
    source: Literal["volts", "amps"] | None = None
    on: bool = False
    level: float = 0.0
    measure_s: float = 1.0

    def may_configure(self) -> None:
        """Raises `OutOfRange` while the output is on: function and ranges change only with the output off."""
        if self.on:
            raise OutOfRange(
                "the output is on: function, ranges and compliance change only while it is off", device=self.name
            )
        self.source = None

    def may_switch_on(self) -> None:
        """Raises `OutOfRange` unless a compliance was set and read back and the level is 0."""
        if self.source is None:
            raise OutOfRange("no compliance has been set and read back: the output stays off", device=self.name)
        if self.level != 0.0:
            raise OutOfRange(f"the level is {self.level:g}, an output goes on at 0 and is ramped", device=self.name)

    def may_measure(self) -> None:
        """Raises `OutOfRange` while the output is off: such a reading means nothing."""
        if not self.on:
            raise OutOfRange("the output is off: nothing to measure", device=self.name)

    def needs(self, source: Literal["volts", "amps"]) -> None:
        """Raises `OutOfRange` unless the channel sources this."""
        if self.source != source:
            raise OutOfRange(f"the channel sources {self.source or 'nothing'}, {source} are needed", device=self.name)


def flag(text: str, what: str, device: str) -> bool:
    """A boolean answer, `0`, `1` or a TSP float.

    Raises:
        ProtocolViolation: neither.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value not in (0.0, 1.0):
        raise ProtocolViolation(f"{what} answered {text!r}, 0 or 1 was expected", device=device)
    return value == 1.0
