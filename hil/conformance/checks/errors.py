"""Refusals: the right code, in words, and the next request works (PROTOCOL.md sections 7 and 8)."""

from __future__ import annotations

from firmware_specs.codes import RULES, Capability, ErrorCode, Opcode
from firmware_specs.messages import Configure, FaultLog, FaultQuery, pack_array
from firmware_specs.messages.packing import Writer
from firmware_specs.topology import Dense, Layer, Topology
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.subject import Subject

NO_PAYLOAD = (Opcode.IDENTIFY, Opcode.FABRIC, Opcode.CONVERTERS, Opcode.PARAMETERS, Opcode.LIMITS, Opcode.STATUS)


def _unknown(subject: Subject) -> None:
    for opcode in (0x00, 0x2F, 0xEE):
        refusal = subject.raw.refused(opcode, b"", ErrorCode.UNKNOWN_OPCODE)
        demand(refusal.detail == opcode, f"detail {refusal.detail}, expected the opcode {opcode}")
        demand(bool(refusal.text.strip()), "the refusal says nothing in words")
    subject.raw.ask(Opcode.IDENTIFY)


def _too_long(subject: Subject) -> None:
    for opcode in NO_PAYLOAD:
        refusal = subject.raw.refused(opcode, b"\x01", ErrorCode.MALFORMED)
        demand(refusal.detail == 0, f"{opcode.name}: detail {refusal.detail}, expected byte 0")


def _too_short(subject: Subject) -> None:
    refusal = subject.raw.refused(Opcode.FAULT_LOG, b"\x00" * 5, ErrorCode.MALFORMED)
    demand(refusal.detail <= 5, f"detail {refusal.detail} is beyond the payload")
    subject.raw.refused(Opcode.CONFIGURE, pack_array(0) + b"\x00", ErrorCode.MALFORMED)


def _not_a_number(subject: Subject) -> None:
    subject.needs(Capability.WATCHDOG)
    for value in (float("nan"), float("inf")):
        subject.raw.refused(Opcode.WATCHDOG, Writer().put("f64", value).done(), ErrorCode.MALFORMED)


def _unsupported(subject: Subject) -> None:
    missing = [
        o for o, rule in RULES.items() if rule.capability and rule.capability not in subject.identity.capabilities
    ]
    if not missing:
        raise Skipped("the device has every capability")
    for opcode in missing:
        refusal = subject.raw.refused(opcode, b"", ErrorCode.UNSUPPORTED)
        bit = RULES[opcode].capability.bit_length() - 1
        demand(refusal.detail == bit, f"{opcode.name}: detail {refusal.detail}, expected capability bit {bit}")


def _no_such_array(subject: Subject) -> None:
    beyond = subject.fabric.arrays
    subject.raw.refused(Opcode.CONFIGURE, Configure(beyond, subject.topology).pack(), ErrorCode.OUT_OF_RANGE)
    subject.raw.refused(Opcode.TOPOLOGY, pack_array(beyond), ErrorCode.OUT_OF_RANGE)


def _does_not_fit(subject: Subject) -> None:
    count = len(subject.fabric.layers) or subject.fabric.max_layers
    layers = tuple(Layer(shape=(1,)) for _ in range(count + 1))
    chain = tuple(Dense(pre=i, post=i + 1) for i in range(count))
    wide = Topology(layers=layers, couplings=chain)
    if subject.fabric.resistive:
        source = (Dense(pre=-1, post=0, bias=False), *chain)
        wide = Topology(substrate="resistive", source=(1,), layers=layers, couplings=source)
    refusal = subject.raw.refused(Opcode.CONFIGURE, Configure(0, wide).pack(), ErrorCode.DOES_NOT_FIT)
    demand(bool(refusal.text.strip()), "the refusal says nothing in words")


def _fault_log(subject: Subject) -> None:
    log = parsed(FaultLog, subject.raw.ask(Opcode.FAULT_LOG, FaultQuery().pack()), "FAULT_LOG")
    numbers = [entry.number for entry in log.entries]
    demand(numbers == sorted(set(numbers)), f"entries are numbered {numbers}")
    demand(log.total >= len(numbers), f"total {log.total}, but {len(numbers)} entries came")
    later = parsed(FaultLog, subject.raw.ask(Opcode.FAULT_LOG, FaultQuery(log.total, 8).pack()), "FAULT_LOG")
    demand(not later.entries, f"entries from number {log.total} on, where {log.total} were written")


CHECKS = (
    Check("errors.unknown", "8", "an unknown opcode is refused, named, and the next request works", _unknown),
    Check("errors.too-long", "7", "a payload that is too long is MALFORMED at its first surplus byte", _too_long),
    Check("errors.too-short", "7", "a payload that is too short is MALFORMED", _too_short),
    Check("errors.not-a-number", "Notation", "NaN and infinity are MALFORMED", _not_a_number),
    Check("errors.unsupported", "7", "verbs without their capability answer UNSUPPORTED with its bit", _unsupported),
    Check("errors.no-such-array", "8", "an array that does not exist is OUT_OF_RANGE", _no_such_array),
    Check("errors.does-not-fit", "7.5", "a topology that is too large is DOES_NOT_FIT, in words", _does_not_fit),
    Check("errors.fault-log", "7.3", "the fault log is numbered from 0 and can be read from any number on", _fault_log),
)
