"""What restarts a watchdog and what does not: done often enough, and told apart from a host that was late itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from firmware_specs.codes import Capability, State
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import Subject

MARGIN_S = 0.1
"""How late a watchdog may trip (PROTOCOL.md 6.3)."""
TIMES_S = (0.3, 1.0, 3.0)
"""Times of the watchdog, one after the other where a busy host was late for the one before."""


def feeds(subject: Subject, what: str, beat: Callable[[float], object], *, answered: bool = True) -> None:
    """Demands that something keeps the outputs on, done every quarter of a watchdog's time for three times as long.

    Args:
        subject: The device.
        what: It, for people.
        beat: Waits so many seconds, then does it.
        answered: It is over when the device has it; else nobody can tell how late it came, and one trip tells nothing.

    Raises:
        Failed: the device tripped although it was fed in time. Skipped: it tripped, and this host was late each time.
    """
    subject.needs(Capability.WATCHDOG)
    for watchdog_s in TIMES_S:
        subject.settle_down()
        longest_s = _longest_s(subject, watchdog_s, beat)
        if longest_s is None:
            return
        in_time = longest_s < watchdog_s and (answered or watchdog_s > TIMES_S[0])
        demand(not in_time, f"{what}: it tripped although there was one every quarter of its time")
    late = f"{longest_s:.2f} s between two of them, the watchdog's time is {watchdog_s} s"
    raise Skipped(f"{what}: this host was late itself, {late}: check again when it is quieter")


def does_not_feed(subject: Subject, what: str, act: Callable[[float], object]) -> None:
    """Demands that something leaves the watchdog alone: done six times within its time, it trips all the same.

    Args:
        subject: The device.
        what: It, for people.
        act: Does it, then waits so many seconds.

    Raises:
        Failed: the device was still armed. Skipped: it tripped, but this host was so late each time that a device that
            takes it for a sign of life had tripped, too.
    """
    subject.needs(Capability.WATCHDOG)
    for watchdog_s in TIMES_S:
        subject.settle_down()
        subject.arm(watchdog_s)
        begun = [time.monotonic()]
        while begun[-1] < begun[0] + watchdog_s + MARGIN_S + 0.05:
            act(watchdog_s / 6)
            begun.append(time.monotonic())
        demand(subject.status.state is State.TRIPPED, f"{what} kept the watchdog from tripping")
        begun.append(time.monotonic())
        longest_s = max(later - earlier for earlier, later in itertools.pairwise(begun))
        if longest_s < watchdog_s:
            return
    late = f"{longest_s:.2f} s between two of them, the watchdog's time is {watchdog_s} s"
    raise Skipped(f"{what}: this host was late itself, {late}: check again when it is quieter")


def _longest_s(subject: Subject, watchdog_s: float, beat: Callable[[float], object]) -> float | None:
    """Longest time that may have passed at the device between two signs of life; None where it is still armed.

    One that was begun at a, waits q and is over at b reached the device somewhere from a + q to b.
    """
    wait_s = watchdog_s / 4
    earliest = [time.monotonic()]
    subject.arm(watchdog_s)
    over = [time.monotonic()]
    while over[-1] < over[0] + 3 * watchdog_s:
        earliest.append(over[-1] + wait_s)
        beat(wait_s)
        over.append(time.monotonic())
    armed = subject.status.state is State.ARMED
    over.append(time.monotonic())
    return None if armed else max(late - early for early, late in zip(earliest, over[1:], strict=True))
