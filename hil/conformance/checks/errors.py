"""Refusals: the right code, in words, and the next request works (PROTOCOL.md sections 7 and 8)."""

from __future__ import annotations

from firmware_specs.codes import RULES, Capability, ErrorCode, Opcode
from firmware_specs.messages import pack_array
from firmware_specs.messages.packing import Writer
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import FrameSubject

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


def _not_a_number(subject: FrameSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    for value in (float("nan"), float("inf")):
        subject.raw.refused(Opcode.WATCHDOG, Writer().put("f64", value).done(), ErrorCode.MALFORMED)


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
    Check("errors.not-a-number", "Notation", "NaN and infinity are MALFORMED", _not_a_number),
    Check("errors.unsupported", "7", "verbs without their capability answer UNSUPPORTED with its bit", _unsupported),
)
