"""Refusals: the right code, in words, and the next request works (PROTOCOL.md sections 7 and 8)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from firmware_specs.codes import RULES, Capability, ErrorCode, Opcode
from firmware_specs.messages import Measure, Patch, Pulse, Settle, WriteCells, pack_array
from firmware_specs.messages.packing import Writer
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import FrameSubject

MOST_SENT = 1 << 20
"""Bytes a check of a long reply sends at most."""
NO_PAYLOAD = (Opcode.IDENTIFY, Opcode.FABRIC, Opcode.CONVERTERS, Opcode.PARAMETERS, Opcode.LIMITS, Opcode.STATUS)


def _unknown(subject: FrameSubject) -> None:
    for opcode in (0x00, 0x2F, 0xEE):
        refusal = subject.raw.refused(opcode, b"", ErrorCode.UNKNOWN_OPCODE)
        demand(refusal.detail == opcode, f"detail {refusal.detail}, expected the opcode {opcode}")
        demand(bool(refusal.text.strip()), "the refusal says nothing in words")
    subject.raw.ask(Opcode.IDENTIFY)


def _too_long(subject: FrameSubject) -> None:
    for opcode in NO_PAYLOAD:
        refusal = subject.raw.refused(opcode, b"\x01", ErrorCode.MALFORMED)
        demand(refusal.detail == 0, f"{opcode.name}: detail {refusal.detail}, expected byte 0")


def _too_short(subject: FrameSubject) -> None:
    refusal = subject.raw.refused(Opcode.FAULT_LOG, b"\x00" * 5, ErrorCode.MALFORMED)
    demand(refusal.detail <= 5, f"detail {refusal.detail} is beyond the payload")
    subject.raw.refused(Opcode.CONFIGURE, pack_array(0) + b"\x00", ErrorCode.MALFORMED)


def _topology_fields(subject: FrameSubject) -> None:
    """`detail` is the byte of the field, counted from the payload's beginning."""
    two = Writer().put("u8 u8 u8", 0, 0, 2).done()
    wrong = {
        5: two + b"\x02" + bytes(20),
        6: two + Writer().put("u8 u32 u32 u32", 3, 2, 0, 4).done() + bytes(20),
        11: two + Writer().put("u8 u32 u8 f64", 1, 3, 1, 0.0).done() + bytes(20),
        38: two + 2 * Writer().put("u8 u32 u8 f64", 1, 3, 1, 1.0).done() + _dense(kernel=3),
    }
    for offset, topology in wrong.items():
        refusal = subject.raw.refused(Opcode.CONFIGURE, pack_array(0) + topology, ErrorCode.MALFORMED)
        demand(refusal.detail == offset, f"detail {refusal.detail}, the first wrong field is at byte {offset}")


def _dense(kernel: int) -> bytes:
    """One dense coupling whose kernel is not 0."""
    return Writer().put("u8 u8 i8 i8 u8 u16 u16 u16 u8", 1, 0, 0, 1, 0, kernel, 0, 0, 0).done()


def _overlapping(subject: FrameSubject) -> None:
    subject.needs(Capability.WRITE)
    subject.prepare()
    region = subject.region()
    patch = Patch(region, subject.cell_codes(np.full((region.rows, region.columns), 0.5)))
    corner = Patch(replace(region, row=region.rows - 1, rows=1, columns=1), subject.cell_codes(np.full((1, 1), 0.5)))
    request = WriteCells(0, (patch, corner)).pack()
    refusal = subject.raw.refused(Opcode.WRITE_CELLS, request, ErrorCode.MALFORMED)
    at = len(WriteCells(0, (patch,)).pack())
    demand(refusal.detail == at, f"detail {refusal.detail}, the patch that overlaps begins at byte {at}")


def _whole_pulses(subject: FrameSubject) -> None:
    record = replace(subject.limits.absolute, max_pulses_per_cell=1.5)
    refusal = subject.raw.refused(Opcode.SET_LIMITS, record.pack(), ErrorCode.MALFORMED)
    demand(refusal.detail == 32, f"detail {refusal.detail}, expected byte 32")


def _reply_too_large(subject: FrameSubject) -> None:
    """Many layers asked for make a small request of a long reply."""
    subject.needs(Capability.SETTLE)
    subject.prepare()
    units = int(np.prod(subject.topology.drive_shape))
    row = 255 * subject.topology.layers[0].units
    batch = subject.raw.max_reply // row + 1
    one = subject.drive_codes(np.zeros((1, units)))
    if one.nbytes * batch > min(subject.raw.max_request - 1024, MOST_SENT):
        raise Skipped("no request is small enough beside its reply")
    drive = np.repeat(one, batch, axis=0)
    refusal = subject.raw.refused(Opcode.SETTLE, Settle(0, drive, (), (0,) * 255).pack(), ErrorCode.TOO_LARGE)
    demand(refusal.detail == subject.raw.max_reply, f"detail {refusal.detail}, expected {subject.raw.max_reply}")


def _not_a_number(subject: FrameSubject) -> None:
    """A comparison with a limit lets NaN pass."""
    capabilities, absolute = subject.identity.capabilities, subject.limits.absolute
    for value in (float("nan"), float("inf")):
        requests = {Opcode.WATCHDOG: Writer().put("f64", value).done()}
        requests[Opcode.SET_LIMITS] = replace(absolute, max_drive_a=value).pack()
        requests[Opcode.MEASURE] = Measure(subject.region(), np.array([value])).pack()
        with contextlib.suppress(Skipped):  # a wrong device would act on it
            requests[Opcode.PULSE] = Pulse(subject.region(), True, value, subject.pulse_shape()[1], 1).pack()
        subject.prepare()
        for opcode, payload in requests.items():
            if not RULES[opcode].capability or RULES[opcode].capability in capabilities:
                subject.raw.refused(opcode, payload, ErrorCode.MALFORMED)


def _signs(subject: FrameSubject) -> None:
    """A comparison with a limit lets a negative number pass."""
    absolute = subject.limits.absolute
    codes = (ErrorCode.MALFORMED, ErrorCode.OUT_OF_RANGE)
    for name in ("max_drive_a", "max_read_v", "max_pulse_v", "max_pulse_s"):
        for share in (-1.0, 0.0):
            changed = replace(absolute, **{name: share * getattr(absolute, name)})
            subject.raw.refused(Opcode.SET_LIMITS, changed.pack(), *codes)
    if Capability.PULSE in subject.identity.capabilities:
        subject.prepare()
        volts, seconds = subject.pulse_shape()
        for signs in ((-1.0, 1.0), (1.0, -1.0), (0.0, 1.0), (1.0, 0.0)):
            request = Pulse(subject.region(), True, signs[0] * volts, signs[1] * seconds, 1)
            subject.raw.refused(Opcode.PULSE, request.pack(), *codes)


def _unsupported(subject: FrameSubject) -> None:
    missing = [
        o for o, rule in RULES.items() if rule.capability and rule.capability not in subject.identity.capabilities
    ]
    if not missing:
        raise Skipped("the device has every capability")
    for opcode in missing:
        refusal = subject.raw.refused(opcode, b"", ErrorCode.UNSUPPORTED)
        bit = RULES[opcode].capability.bit_length() - 1
        demand(refusal.detail == bit, f"{opcode.name}: detail {refusal.detail}, expected capability bit {bit}")


CHECKS = (
    Check("errors.unknown", "8", "an unknown opcode is refused, named, and the next request works", _unknown),
    Check("errors.too-long", "7", "a payload that is too long is MALFORMED at its first surplus byte", _too_long),
    Check("errors.too-short", "7", "a payload that is too short is MALFORMED", _too_short),
    Check("errors.topology-fields", "7.5", "a wrong field of a topology is MALFORMED at its byte", _topology_fields),
    Check("errors.overlap", "7.6", "patches that overlap are MALFORMED at the later one", _overlapping),
    Check("errors.reply-too-large", "4.2", "a request whose reply is beyond max_reply is TOO_LARGE", _reply_too_large),
    Check("limits.whole", "7.2", "a number of pulses that is not whole is MALFORMED", _whole_pulses),
    Check("errors.not-a-number", "Notation", "NaN and infinity are MALFORMED, in pulses too", _not_a_number),
    Check("limits.signs", "7.2", "limits and pulses that are not positive are refused", _signs),
    Check("errors.unsupported", "7", "verbs without their capability answer UNSUPPORTED with its bit", _unsupported),
)
