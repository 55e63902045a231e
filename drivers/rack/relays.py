"""The relays of a rack: which path is which relay, moving them, and reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from drivers.errors import OutOfRange, ProtocolViolation
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import CEILING, FLOOR

Path = tuple[str, str]
"""A terminal (or a diode) and a line that a relay joins."""


class Relays:
    """All relays of all boxes.

    Args:
        rack: Bench file.
        boxes: Opened instruments by name; the ones with relays are moved.

    Attributes:
        joined: Paths that are closed, as commanded.
    """

    def __init__(self, rack: Rack, boxes: Mapping[str, Any]) -> None:
        self.joined: set[Path] = set()
        self._rack, self._boxes = rack, boxes
        self._relay_of = {_path(*nodes): relay for relay, nodes in rack.relays().items()}

    def move(self, target: set[Path]) -> None:
        """Opens what is not wanted, then closes what is; sources are at zero.

        Raises:
            OutOfRange: no relay joins a path; nothing was moved.
        """
        opens, closes = dict(self._by_box(self.joined - target)), dict(self._by_box(target - self.joined))
        for box, channels in opens.items():
            self._boxes[box].open_channels(channels)
        for box, channels in closes.items():
            self._boxes[box].close_channels(channels)
        self.joined = target

    def verify(self) -> None:
        """Reads every box back.

        Raises:
            ProtocolViolation: a relay is not as it was told.
        """
        expected = dict(self._by_box(self.joined))
        for name in {box for box, _ in self._relay_of.values()}:
            closed, should = self._boxes[name].closed(), frozenset(expected.get(name, ()))
            if closed != should:
                raise ProtocolViolation(
                    f"relays {', '.join(sorted(closed ^ should))} are not as commanded",
                    device=name,
                    todo="Outputs are off; a contact may be welded or worn",
                )

    def check_masters(self, target: set[Path], driven: Iterable[str]) -> None:
        """Refuses a line on two terminals, or on a terminal and its DAC; diodes may join in.

        Args:
            target: Paths to be.
            driven: DAC channels that are on.

        Raises:
            OutOfRange: naming the line and its two masters.
        """
        on = set(driven)
        masters = {
            line: "a DAC" for line, channel in self._rack.wiring.direct.items() if channel.partition(".")[2] in on
        }
        for terminal, line in target:
            if terminal.partition(".")[0] in (FLOOR, CEILING):
                continue
            if line in masters:
                raise OutOfRange(f"{line} would hang on {masters[line]} and {terminal}", device=self._rack.name)
            masters[line] = terminal

    def _by_box(self, paths: Iterable[Path]) -> Iterator[tuple[str, list[str]]]:
        boxes: dict[str, list[str]] = {}
        for path in paths:
            try:
                box, channel = self._relay_of[path]
            except KeyError:
                raise OutOfRange(f"no relay joins {path[0]} and {path[1]}", device=self._rack.name) from None
            boxes.setdefault(box, []).append(channel)
        yield from ((box, sorted(channels)) for box, channels in boxes.items())


def _path(one: str, other: str) -> Path:
    """Terminal or diode first, line second."""
    return (other, one) if other.partition(".")[0] in (FLOOR, CEILING) else (one, other)
