"""What one request may be: bytes each way, and the time the device says it takes.

A device executes requests in order, so switching it off waits for those under way. Whoever promises outputs off within
a second cuts its work (PROTOCOL.md 9.4), and a small board takes and sends small messages only (4.2). Both are seen to
here, for every verb and for every protocol: a verb says what one sample, cell, pulse or reading costs, and is told how
many of them fit a request. On a line with a baud rate its bytes take time, too, and a watchdog hears nothing before a
frame is whole (6.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange
from firmware_specs.messages import PULSES_AT_ONCE, Region

PORTION_S = 0.4
"""Stated time of the requests under way, at most: with what a device needs besides it is the half second of 9.4."""
LONGEST_S = 0.5
"""Stated time of what cannot be cut, one sample or one pulse, at most; beyond it the override has to be named."""
AT_ONCE_S = 2.0
"""Stated time of one call, with all its requests: then the ownership is looked at, and the session lives on."""
HEAD = 64
"""Bytes of a request or reply besides its arrays, at most."""
UNBOUNDED = 1 << 40
SILENCE = 0.8
"""Of the watchdog: how long a line may be busy with bytes that the device takes no note of yet."""

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """Bytes that differ between protocols.

    Attributes:
        statistics: Of a settle's reply, for every phase of every sample.
        clipped: Of a settle's reply, for every sample.
        usage: Of a cell's pulses and joules.
        volt: Of a voltage to measure at.
        unheard: Of a request that come before the device takes note of any, at most.
    """

    statistics: int
    clipped: int
    usage: int
    volt: int
    unheard: int = UNBOUNDED


@dataclass(frozen=True)
class Cost:
    """What one of several equal things adds to a request: bytes there, bytes back, seconds on the device."""

    request: int = 0
    reply: int = 0
    seconds: float = 0.0

    def times(self, count: int) -> Cost:
        """Of so many."""
        return Cost(self.request * count, self.reply * count, self.seconds * count)


class Messages(Protocol):
    """What is asked of a protocol: its address, the bytes of things, seconds a byte on the line, largest messages."""

    address: str
    sizes: Sizes
    byte_s: float

    @property
    def max_request(self) -> int:
        """Longest request payload, bytes."""

    @property
    def max_reply(self) -> int:
        """Longest reply payload, bytes."""


class Portions:
    """Cuts work for one open device.

    Args:
        messages: Its protocol.
        allow_long: Named override: what cannot be cut may take longer than `LONGEST_S`.

    Attributes:
        excess_s: How much longer than `PORTION_S` the longest request so far was; switching off may take as much more.
        watchdog_s: The device's, where it has one; infinite before it is set.
    """

    def __init__(self, messages: Messages, *, allow_long: bool = False) -> None:
        self.excess_s = 0.0
        self.watchdog_s = math.inf
        self._messages = messages
        self._allow_long = allow_long

    def most(self, what: str, each: Cost, head: int = HEAD) -> int:
        """How many fit one request, at least 1.

        Args:
            what: One of them in words, for refusals.
            each: What one adds.
            head: Bytes of the request and of the reply besides.

        Raises:
            OutOfRange: not even one fits, or takes longer than may pass before outputs are off.
        """
        fit = min(self._by_time(what, each.seconds), self._by_line(what, each, head))
        for way, size, most in (
            ("request", each.request, self._messages.max_request),
            ("reply", each.reply, self._messages.max_reply),
        ):
            room = most - head
            if size > room:
                raise OutOfRange(
                    f"{what} needs a {way} of {size + head} bytes, the device has {most}; nothing was sent",
                    device=self._messages.address,
                    todo="Make the block smaller, or take a device with larger messages",
                )
            if size:
                fit = min(fit, room // size)
        return fit

    def reads(self, reads: int, most_reads: int, fixed_s: float, each_s: float) -> list[int]:
        """Conversions, in as many requests as their number or their time asks for.

        Args:
            reads: How many in all.
            most_reads: How many the device makes in one request.
            fixed_s: Stated time of a request without them.
            each_s: Of one of them.
        """
        at_once = min(reads, max(1, most_reads))
        if each_s > 0 and fixed_s + at_once * each_s > PORTION_S:
            at_once = max(1, math.floor((PORTION_S - fixed_s) / each_s))
        return [at_once] * (reads // at_once) + [reads % at_once] * (reads % at_once > 0)

    def regions(self, region: Region, most: int) -> Iterator[Region]:
        """A region in rectangles of at most so many cells: rows together, or parts of one."""
        rows, columns = max(1, most // region.columns), min(most, region.columns)
        for row in range(0, region.rows, rows):
            for column in range(0, region.columns, columns):
                yield replace(
                    region,
                    row=region.row + row,
                    rows=min(rows, region.rows - row),
                    column=region.column + column,
                    columns=min(columns, region.columns - column),
                )

    def trains(
        self, region: Region, counts: NDArray[np.int64], each: Cost
    ) -> Iterator[tuple[Region, NDArray[np.int64]]]:
        """Pulses of a region, in rounds where one cell gets more than fit, in rectangles where the region has more.

        Args:
            region: Which cells.
            counts: Pulses of every cell, (rows, columns).
            each: Bytes of a cell's count, and seconds of a pulse.
        """
        pulses = min(PULSES_AT_ONCE, self.most("one pulse", Cost(seconds=each.seconds)))
        cells = self.most("one cell", Cost(each.request))
        left = counts.astype(np.int64)
        if not left.any():
            yield region, left  # nothing to deliver, but the device may refuse
        while left.any():
            now = np.minimum(left, pulses)
            for rows in _runs(now.sum(1), pulses, max(1, cells // region.columns)):
                for columns in _runs(now[rows].sum(0), pulses, max(1, cells // (rows.stop - rows.start))):
                    part = now[rows, columns]
                    if part.any():
                        yield _part(region, rows, columns), part
            left -= now

    def groups(self, requests: Sequence[T], each: Cost) -> Iterator[Sequence[T]]:
        """Requests of such a cost in rows that take at most `AT_ONCE_S` together."""
        each_s = self._taken_s(each)
        step = max(1, math.floor(AT_ONCE_S / each_s)) if each_s > 0 else UNBOUNDED
        for start in range(0, len(requests), step):
            yield requests[start : start + step]

    def _by_time(self, what: str, seconds: float) -> int:
        if not seconds > 0:
            return UNBOUNDED
        if seconds > LONGEST_S and not self._allow_long:
            raise OutOfRange(
                f"{what} takes {seconds:g} s by what the device states, and outputs stay on as long after a stop; "
                f"{LONGEST_S:g} s is the most unasked; nothing was sent",
                device=self._messages.address,
                todo="If that is acceptable, say so by name: allow_long_requests = true in the bench file",
            )
        self.excess_s = max(self.excess_s, seconds - PORTION_S)
        return together(seconds)

    def _by_line(self, what: str, each: Cost, head: int) -> int:
        """Bytes that wait on a line hold up switching off as a busy device does, and feed no watchdog."""
        byte_s = self._messages.byte_s
        if not byte_s:
            return UNBOUNDED
        unheard_s = byte_s * min(head + each.request, self._messages.sizes.unheard)
        if unheard_s > SILENCE * self.watchdog_s:
            raise OutOfRange(
                f"{what} needs a request of {head + each.request} bytes, of which the device takes no note for "
                f"{unheard_s:.2g} s at {1 / byte_s:.0f} bytes a second; its watchdog of {self.watchdog_s:g} s would "
                "turn the outputs off; nothing was sent",
                device=self._messages.address,
                todo="Take a higher baud rate, or a larger watchdog_s",
            )
        each_s, besides_s = self._taken_s(each), 2 * head * byte_s
        self.excess_s = max(self.excess_s, each_s + besides_s - PORTION_S)
        return max(1, math.floor((PORTION_S - besides_s) / each_s)) if each_s > 0 else UNBOUNDED

    def _taken_s(self, each: Cost) -> float:
        return each.seconds + self._messages.byte_s * (each.request + each.reply)


def counted(messages: Messages, region: Region) -> Iterator[Region]:
    """A region in rectangles whose pulses and joules fit a reply each."""
    portions = Portions(messages)
    return portions.regions(region, portions.most("counting one cell", Cost(reply=messages.sizes.usage)))


def together(each_s: float) -> int:
    """How many things of so much stated time may be under way together: switching off waits for all of them."""
    return max(1, math.floor(PORTION_S / each_s * (1 + 1e-9))) if each_s > 0 else UNBOUNDED


def _runs(weights: NDArray[np.int64], most_weight: int, most: int) -> Iterator[slice]:
    """Neighbours of at most so much weight together, and at most so many; one that weighs more is alone."""
    start, weight = 0, 0
    for end, added in enumerate(weights.tolist()):
        if end > start and (weight + added > most_weight or end - start >= most):
            yield slice(start, end)
            start, weight = end, 0
        weight += added
    yield slice(start, len(weights))


def _part(region: Region, rows: slice, columns: slice) -> Region:
    return replace(
        region,
        row=region.row + rows.start,
        rows=rows.stop - rows.start,
        column=region.column + columns.start,
        columns=columns.stop - columns.start,
    )
