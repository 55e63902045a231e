"""Watchdog and trips (PROTOCOL.md sections 6.2 to 6.4)."""

from __future__ import annotations

import time

from firmware_specs.codes import TRIP_FAULT, Capability, DeviceFlag, ErrorCode, Kind, Opcode, State, Trip
from firmware_specs.frame import Frame
from firmware_specs.messages import Credit, FaultLog, FaultQuery, pack_number
from hil.conformance.check import Check
from hil.conformance.conversation import demand, parsed
from hil.conformance.feeding import MARGIN_S, does_not_feed, feeds
from hil.conformance.subject import FrameSubject

SHORT_S = 0.3


def _trip(subject: FrameSubject) -> None:
    """Arms with a short watchdog and keeps silent until it must have tripped."""
    subject.needs(Capability.WATCHDOG)
    subject.arm(SHORT_S)
    subject.raw.silence(SHORT_S + MARGIN_S + 0.05)


def _trips(subject: FrameSubject) -> None:
    _trip(subject)
    answer = subject.raw.request(Opcode.HEARTBEAT)
    demand(not answer.flags & DeviceFlag.OUTPUTS_ON, "the outputs are on after the watchdog's time plus 100 ms")
    demand(bool(answer.flags & DeviceFlag.TRIPPED), "the tripped flag is not set")
    status = subject.status
    demand((status.state, status.trip) == (State.TRIPPED, Trip.WATCHDOG), f"{status.state.name}, {status.trip.name}")


def _latched(subject: FrameSubject) -> None:
    _trip(subject)
    subject.raw.refused(Opcode.ARM, b"", ErrorCode.TRIPPED)
    subject.raw.ask(Opcode.DISARM)
    demand(subject.status.state == State.TRIPPED, "DISARM left TRIPPED")
    subject.raw.sync()
    demand(subject.status.state == State.TRIPPED, "a new session left TRIPPED")
    subject.raw.ask(Opcode.CLEAR)
    demand(subject.status.state == State.SAFE, f"CLEAR led to {subject.status.state.name}, expected SAFE")


def _logged(subject: FrameSubject) -> None:
    before = subject.status.faults
    _trip(subject)
    log = parsed(FaultLog, subject.raw.ask(Opcode.FAULT_LOG, FaultQuery(before, 64).pack()), "FAULT_LOG")
    codes = [entry.code for entry in log.entries]
    demand(TRIP_FAULT + Trip.WATCHDOG in codes, f"new entries {codes}, expected 0x{TRIP_FAULT + Trip.WATCHDOG:x}")
    answer = subject.raw.request(Opcode.HEARTBEAT)
    demand(bool(answer.flags & DeviceFlag.FAULTS), "the fault flag is not set after a trip")
    subject.raw.ask(Opcode.CLEAR)
    answer = subject.raw.request(Opcode.HEARTBEAT)
    demand(not answer.flags & DeviceFlag.FAULTS, "CLEAR left the fault flag set")


def _heartbeat(subject: FrameSubject) -> None:
    def beat(seconds: float) -> None:
        subject.raw.silence(seconds)
        subject.raw.ask(Opcode.HEARTBEAT)

    feeds(subject, "HEARTBEAT", beat)


def _any_verb(subject: FrameSubject) -> None:
    """A host that works has no time for heartbeats."""

    def beat(seconds: float) -> None:
        subject.raw.silence(seconds)
        subject.raw.ask(Opcode.LIMITS)

    feeds(subject, "LIMITS", beat)


def _credit_feeds(subject: FrameSubject) -> None:
    raw = subject.raw

    def beat(seconds: float) -> None:
        raw.silence(seconds)
        raw.send_frame(Frame(Kind.CREDIT, 0, 0, raw.session, raw.sequence, 0, 1, Credit(1).pack()))

    feeds(subject, "CREDIT", beat, answered=False)


def _damaged_is_no_heartbeat(subject: FrameSubject) -> None:
    def act(wait_s: float) -> None:
        subject.raw.send(b"\x05noise\x00")
        time.sleep(wait_s)
        subject.raw.drain()

    does_not_feed(subject, "damaged frames", act)


def _foreign_is_no_heartbeat(subject: FrameSubject) -> None:
    """As from a host that was left running, with a session that is over."""
    raw = subject.raw

    def act(wait_s: float) -> None:
        raw.send_frame(Frame(Kind.REQUEST, Opcode.HEARTBEAT, 0, raw.session ^ 0x5A5A5A5A or 1, 1))
        time.sleep(wait_s)
        raw.drain()

    does_not_feed(subject, "requests of another session", act)


def _remaining(subject: FrameSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.arm(5.0)
    status = subject.status
    demand(status.watchdog_s <= 5.0, f"asked for 5 s, {status.watchdog_s} s are in force")
    demand(0 < status.remaining_s <= status.watchdog_s, f"{status.remaining_s} s of {status.watchdog_s} s remain")


def _shorter_while_armed(subject: FrameSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.arm(30.0)
    subject.raw.ask(Opcode.WATCHDOG, pack_number(SHORT_S))
    subject.raw.silence(SHORT_S + MARGIN_S + 0.05)
    demand(subject.status.state == State.TRIPPED, "a watchdog shortened while ARMED did not trip in its new time")


CHECKS = (
    Check("watchdog.trips", "6.3", "without traffic outputs go off within the watchdog's time plus 100 ms", _trips),
    Check("watchdog.latched", "6.2", "a trip is left by CLEAR alone, and then to SAFE", _latched),
    Check("watchdog.logged", "6.4", "a trip is in the fault log and sets the fault flag, CLEAR resets that", _logged),
    Check("watchdog.heartbeat", "6.3", "HEARTBEAT keeps the watchdog from tripping", _heartbeat),
    Check("watchdog.any-verb", "6.3", "a verb that is no HEARTBEAT keeps the watchdog from tripping, too", _any_verb),
    Check("watchdog.credit", "6.3", "a CREDIT keeps the watchdog from tripping, too", _credit_feeds),
    Check("watchdog.damaged", "6.3", "damaged frames do not restart the watchdog", _damaged_is_no_heartbeat),
    Check("watchdog.foreign", "6.3", "frames of another session do not restart the watchdog", _foreign_is_no_heartbeat),
    Check("watchdog.remaining", "7.3", "STATUS says how long until it trips", _remaining),
    Check("watchdog.shorter", "7.4", "a watchdog set while ARMED takes effect at once", _shorter_while_armed),
)
