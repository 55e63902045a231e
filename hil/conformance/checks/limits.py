"""Limits (PROTOCOL.md sections 6.6 and 7.2)."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from firmware_specs.codes import Capability, ConverterId, ErrorCode, Opcode
from firmware_specs.messages import LimitsInfo, Measure, Pulse, Settle
from hil.conformance.check import Check
from hil.conformance.conversation import demand, parsed
from hil.conformance.subject import Subject


def _limits_tighten(subject: Subject) -> None:
    absolute = subject.limits.absolute
    active = subject.limit(max_read_v=absolute.max_read_v / 2)
    demand(active.max_read_v <= absolute.max_read_v / 2, f"asked for half of max_read_v, got {active.max_read_v}")
    reported = parsed(LimitsInfo, subject.verbs.ask(Opcode.LIMITS), "LIMITS")
    demand(reported.active == active, "LIMITS does not report what SET_LIMITS answered")


def _limits_above(subject: Subject) -> None:
    absolute = subject.limits.absolute
    for name in (field.name for field in fields(absolute) if np.isfinite(getattr(absolute, field.name))):
        above = replace(absolute, **{name: getattr(absolute, name) * 1.01})
        subject.verbs.refused(Opcode.SET_LIMITS, above.pack(), ErrorCode.OUT_OF_RANGE)


def _limits_armed(subject: Subject) -> None:
    absolute = subject.limits.absolute
    subject.limit(max_read_v=absolute.max_read_v / 2)
    subject.arm()
    codes = (ErrorCode.CONFLICT, ErrorCode.OUT_OF_RANGE)
    subject.verbs.refused(Opcode.SET_LIMITS, absolute.pack(), *codes)
    subject.limit(max_read_v=absolute.max_read_v / 4)


def _drive_limit(subject: Subject) -> None:
    subject.needs(Capability.SETTLE)
    dac = subject.converters[ConverterId.DRIVE_DAC]
    code = int(0.75 * dac.max_code)
    limit = abs(dac.low + code * dac.lsb)
    name, number = ("max_source_v", 7) if subject.fabric.resistive else ("max_drive_a", 0)
    subject.limit(**{name: limit * (1 + 1e-9)})
    subject.prepare()
    if Capability.WRITE in subject.identity.capabilities:
        subject.write_all(0.5 if subject.fabric.resistive else 0.0)
    within = np.full((1, _inputs(subject)), code, dtype=subject.drive_codes(np.zeros((1, 1))).dtype)
    subject.settle(Settle(0, within, layers=(0,)))
    beyond = within.copy()
    beyond[0, -1] += max(1, dac.max_code >> 20)
    refusal = subject.verbs.refused(Opcode.SETTLE, Settle(0, beyond, layers=(0,)).pack(), ErrorCode.LIMIT)
    subject.pointed(refusal, number, f"limit {number} ({name})")


def _read_limit(subject: Subject) -> None:
    subject.needs(Capability.MEASURE)
    limit = subject.limits.absolute.max_read_v
    subject.prepare()
    region = subject.region(rows=1, columns=1)
    for sign in (1.0, -1.0):
        subject.verbs.ask(Opcode.MEASURE, Measure(region, np.array([sign * limit])).pack())
        over = Measure(region, np.array([0.0, sign * limit * 1.001]))
        refusal = subject.verbs.refused(Opcode.MEASURE, over.pack(), ErrorCode.LIMIT)
        subject.pointed(refusal, 1, "limit 1 (max_read_v)")


def _pulse_limit(subject: Subject) -> None:
    subject.needs(Capability.PULSE)
    volts, seconds = subject.pulse_shape()
    subject.limit(max_pulse_v=volts, max_pulse_s=seconds)
    subject.prepare()
    region = subject.region(rows=1, columns=1)
    subject.verbs.ask(Opcode.PULSE, Pulse(region, True, volts, seconds, 1).pack())
    over = {
        2: Pulse(region, True, volts * 1.001, seconds, 1),
        3: Pulse(region, True, volts, seconds * 1.001, 1),
    }
    for number, request in over.items():
        refusal = subject.verbs.refused(Opcode.PULSE, request.pack(), ErrorCode.LIMIT)
        subject.pointed(refusal, number, f"limit {number}")


def _nudge_limit(subject: Subject) -> None:
    """In both signs: a nudge of -beta is as much current as one of +beta."""
    subject.needs(Capability.SETTLE)
    dac = subject.converters[ConverterId.NUDGE_DAC]
    limit = 0.5 * min(dac.high, -dac.low)
    subject.limit(max_drive_a=limit)
    topology = subject.prepare()
    if Capability.WRITE in subject.identity.capabilities:
        subject.write_all(0.5 if subject.fabric.resistive else 0.0)
    drive = subject.drive_codes(np.zeros((1, _inputs(subject))))
    for sign in (1.0, -1.0):
        for share, within in ((0.9, True), (1.1, False)):
            amps = np.full((1, topology.layers[-1].units), sign * (share * limit + (0 if within else 2 * dac.lsb)))
            request = Settle(0, drive, (subject.codes(ConverterId.NUDGE_DAC, amps),), (0,))
            if within:
                subject.settle(request)
            else:
                refusal = subject.verbs.refused(Opcode.SETTLE, request.pack(), ErrorCode.LIMIT)
                subject.pointed(refusal, 0, "limit 0 (max_drive_a)")


def _inputs(subject: Subject) -> int:
    return int(np.prod(subject.topology.drive_shape))


CHECKS = (
    Check("limits.tighten", "7.2", "limits can be tightened, and are reported", _limits_tighten),
    Check("limits.absolute", "7.2", "limits above the absolute ones are refused", _limits_above),
    Check("limits.armed", "7.2", "no limit grows while ARMED", _limits_armed),
    Check("limits.drive", "6.6", "a drive at its limit passes, one step beyond is refused", _drive_limit),
    Check("limits.nudge", "6.6", "a nudge current beyond max_drive_a is refused, in both signs", _nudge_limit),
    Check("limits.read", "6.6", "a read at max_read_v passes, beyond is refused, in both signs", _read_limit),
    Check("limits.pulse", "6.6", "a pulse at the limits passes, higher or longer is refused", _pulse_limit),
)
