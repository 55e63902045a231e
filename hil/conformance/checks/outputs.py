"""Outputs and limits (PROTOCOL.md sections 6.1, 6.2, 6.5, 6.6 and 7.2)."""

from __future__ import annotations

from firmware_specs.codes import Capability, DeviceFlag, ErrorCode, Opcode, State
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.subject import FrameSubject


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


CHECKS = (
    Check("outputs.safe-at-first", "6.1", "a new session begins in SAFE, outputs off", _safe_at_first),
    Check("outputs.arm", "6.2", "ARM turns outputs on, DISARM off before it answers", _arm),
    Check("outputs.arm-twice", "7.4", "ARM in ARMED changes nothing", _arm_twice),
    Check("outputs.watchdog-first", "6.3", "ARM is refused until WATCHDOG was set since power-on", _watchdog_first),
    Check("outputs.reset", "7.3", "RESET turns outputs off, unsets the watchdog, changes boot", _reset),
)
