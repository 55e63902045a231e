"""Outputs (PROTOCOL.md sections 2.5, 6.1 to 6.4 and 7.3)."""

from __future__ import annotations

import time

from drivers.errors import LinkLost
from drivers.reopenable import Reopenable
from firmware_specs.codes import Capability, DeviceFlag, ErrorCode, Kind, Opcode, State, Trip
from firmware_specs.frame import Frame
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import FrameSubject

LONG_S = 60.0
POLL_S = 0.02


def _safe_at_first(subject: FrameSubject) -> None:
    subject.raw.sync()
    answer = subject.raw.request(Opcode.STATUS)
    demand(not answer.flags & DeviceFlag.OUTPUTS_ON, "the outputs are on in a new session")
    demand(subject.status.state == State.SAFE, f"state {subject.status.state.name} in a new session")


def _arm(subject: FrameSubject) -> None:
    subject.arm()
    answer = subject.raw.request(Opcode.HEARTBEAT)
    demand(bool(answer.flags & DeviceFlag.OUTPUTS_ON), "ARM was accepted, the outputs flag is off")
    demand(subject.status.state == State.ARMED, f"state {subject.status.state.name} after ARM")
    answer = subject.raw.request(Opcode.DISARM)
    demand(not answer.flags & DeviceFlag.OUTPUTS_ON, "the outputs are still on in the reply of DISARM")
    demand(subject.status.state == State.SAFE, f"state {subject.status.state.name} after DISARM")


def _arm_twice(subject: FrameSubject) -> None:
    subject.arm()
    subject.raw.ask(Opcode.ARM)
    demand(subject.status.state == State.ARMED, "ARM in ARMED changed the state")


def _watchdog_first(subject: FrameSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.raw.ask(Opcode.RESET)
    subject.raw.drain()
    subject.raw.sync()
    subject.raw.refused(Opcode.ARM, b"", ErrorCode.NO_WATCHDOG)
    demand(subject.status.state == State.SAFE, "a refused ARM left SAFE")


def _reset(subject: FrameSubject) -> None:
    before = subject.raw.sync().boot
    subject.arm()
    subject.raw.ask(Opcode.RESET)
    subject.raw.drain()
    after = subject.raw.sync()
    demand(after.boot != before, "boot did not change with RESET")
    status = subject.status
    demand(status.state == State.SAFE, f"state {status.state.name} after RESET")
    demand(status.watchdog_s == 0, f"the watchdog is still set ({status.watchdog_s} s) after RESET")


def _true_now(subject: FrameSubject) -> None:
    """The kept reply of ARM, sent again after DISARM, must not say that outputs are on, nor turn them on."""
    raw = subject.raw
    subject.arm()
    arm = Frame(Kind.REQUEST, Opcode.ARM, 0, raw.session, raw.sequence)
    raw.ask(Opcode.DISARM)
    flags = raw.exchange([arm]).flags
    demand(bool(flags & DeviceFlag.REPLAYED), "a duplicate of ARM was not answered from the reply cache")
    demand(not flags & DeviceFlag.OUTPUTS_ON, "the replayed reply of ARM says that outputs are on, after DISARM")
    demand(subject.status.state == State.SAFE, "a duplicate of ARM turned outputs on")


def _link_lost(subject: FrameSubject) -> None:
    subject.needs(Capability.LINK_LOSS)
    raw, wire = subject.raw, subject.raw.transport
    if not isinstance(wire, Reopenable):
        raise Skipped("this wire cannot be closed and opened anew")
    if wire.address.startswith("serial:") and "://" not in wire.address:
        raise Skipped("a serial line does not show the device that the host's port closes")
    subject.arm(LONG_S)
    before, until = raw.session, time.monotonic() + raw.patience_s
    while True:
        try:
            wire.reopen(until)
            raw.sync(previous=before)
            break
        except LinkLost:  # a device that takes one link at a time may not know yet that the first one is gone
            if time.monotonic() >= until:
                raise
            time.sleep(POLL_S)
    while (status := subject.status).state == State.ARMED and time.monotonic() < until:
        time.sleep(POLL_S)
    seen = f"the link was closed while ARMED: state {status.state.name}, trip {status.trip.name}; expected LINK_LOST"
    demand((status.state, status.trip) == (State.TRIPPED, Trip.LINK_LOST), seen)


CHECKS = (
    Check("outputs.safe-at-first", "6.1", "a new session begins in SAFE, outputs off", _safe_at_first),
    Check("outputs.arm", "6.2", "ARM turns outputs on, DISARM off before it answers", _arm),
    Check("outputs.arm-twice", "7.4", "ARM in ARMED changes nothing", _arm_twice),
    Check("outputs.watchdog-first", "6.3", "ARM is refused until WATCHDOG was set since power-on", _watchdog_first),
    Check("outputs.reset", "7.3", "RESET turns outputs off, unsets the watchdog, changes boot", _reset),
    Check("outputs.true-now", "2.5", "the outputs flag is true when sent, in a replayed reply too", _true_now),
    Check("outputs.link-lost", "6.4", "a link that is seen to close while ARMED is a trip", _link_lost),
)
