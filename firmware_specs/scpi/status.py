"""The status model of IEEE 488.2 and SCPI-99: event status, register groups, status byte, service request.

Every group has a condition that follows the instrument, transition filters, an event register that reading clears, and
an enable mask; what is enabled sums up in one bit of the status byte. `*SRE` says which bits of it ask for service.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 4, 8, 16, 32, 128
MEASUREMENT, ERRORS_WAITING, QUESTIONABLE, MESSAGE, EVENTS, SERVICE, OPERATION = 1, 4, 8, 16, 32, 64, 128
WORD = 0xFFFF


def event_bit(code: int) -> int:
    """Bit of the event status register that an error code belongs to."""
    group = -code // 100 if code < 0 else 3
    return {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR, 4: QUERY_ERROR}.get(group, DEVICE_ERROR)


@dataclass
class Group:
    """One register group.

    Attributes:
        summary: Its bit in the status byte.
        condition: What is so now.
        event: What came up since the last reading.
        enable: Which events sum up.
        positive: Transitions to true that count.
        negative: Transitions to false that count.
    """

    summary: int
    condition: int = 0
    event: int = 0
    enable: int = 0
    positive: int = WORD
    negative: int = 0

    def now(self, mask: int, on: bool) -> None:
        """Sets or clears condition bits; what changed counts as the filters say."""
        after = self.condition | mask if on else self.condition & ~mask
        rose, fell = after & ~self.condition, self.condition & ~after
        self.event |= (rose & self.positive) | (fell & self.negative)
        self.condition = after

    def pulse(self, mask: int) -> None:
        """A condition that comes and goes at once."""
        self.now(mask, True)
        self.now(mask, False)

    def take(self) -> int:
        """The event register; reading clears it."""
        event, self.event = self.event, 0
        return event

    def preset(self) -> None:
        """As STATus:PRESet leaves it."""
        self.enable, self.positive, self.negative = 0, WORD, 0


@dataclass
class Status:
    """All status of one instrument.

    Attributes:
        groups: By name: `operation`, `questionable`, `measurement`.
        events: Event status register.
        event_enable: `*ESE`.
        service_enable: `*SRE`.
    """

    groups: dict[str, Group] = field(
        default_factory=lambda: {
            "operation": Group(OPERATION),
            "questionable": Group(QUESTIONABLE),
            "measurement": Group(MEASUREMENT),
        }
    )
    events: int = POWER_ON
    event_enable: int = 0
    service_enable: int = 0

    def clear(self) -> None:
        """`*CLS`: events go, enables stay."""
        self.events = 0
        for group in self.groups.values():
            group.event = 0

    def take_events(self) -> int:
        """`*ESR?`."""
        events, self.events = self.events, 0
        return events

    def byte(self, errors: bool, message: bool = False) -> int:
        """The status byte.

        Args:
            errors: Is the error queue not empty?
            message: Is an answer waiting to be read?
        """
        status = (ERRORS_WAITING if errors else 0) | (MESSAGE if message else 0)
        status |= EVENTS if self.events & self.event_enable else 0
        for group in self.groups.values():
            status |= group.summary if group.event & group.enable else 0
        return status | (SERVICE if status & self.service_enable & ~SERVICE else 0)
