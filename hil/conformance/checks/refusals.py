"""What any device refuses, and its fault log (PROTOCOL.md sections 7.3, 7.5 and 8)."""

from __future__ import annotations

from firmware_specs.codes import ErrorCode, Opcode
from firmware_specs.messages import Configure, FaultLog, FaultQuery, pack_array
from firmware_specs.topology import Dense, Layer, Topology
from hil.conformance.check import Check
from hil.conformance.conversation import demand, parsed
from hil.conformance.subject import Subject


def _no_such_array(subject: Subject) -> None:
    beyond = subject.fabric.arrays
    subject.verbs.refused(Opcode.CONFIGURE, Configure(beyond, subject.topology).pack(), ErrorCode.OUT_OF_RANGE)
    subject.verbs.refused(Opcode.TOPOLOGY, pack_array(beyond), ErrorCode.OUT_OF_RANGE)


def _does_not_fit(subject: Subject) -> None:
    count = len(subject.fabric.layers) or subject.fabric.max_layers
    layers = tuple(Layer(shape=(1,)) for _ in range(count + 1))
    chain = tuple(Dense(pre=i, post=i + 1) for i in range(count))
    wide = Topology(layers=layers, couplings=chain)
    if subject.fabric.resistive:
        source = (Dense(pre=-1, post=0, bias=False), *chain)
        wide = Topology(substrate="resistive", source=(1,), layers=layers, couplings=source)
    refusal = subject.verbs.refused(Opcode.CONFIGURE, Configure(0, wide).pack(), ErrorCode.DOES_NOT_FIT)
    demand(bool(refusal.text.strip()), "the refusal says nothing in words")


def _fault_log(subject: Subject) -> None:
    log = parsed(FaultLog, subject.verbs.ask(Opcode.FAULT_LOG, FaultQuery().pack()), "FAULT_LOG")
    numbers = [entry.number for entry in log.entries]
    demand(numbers == sorted(set(numbers)), f"entries are numbered {numbers}")
    demand(log.total >= len(numbers), f"total {log.total}, but {len(numbers)} entries came")
    later = parsed(FaultLog, subject.verbs.ask(Opcode.FAULT_LOG, FaultQuery(log.total, 8).pack()), "FAULT_LOG")
    demand(not later.entries, f"entries from number {log.total} on, where {log.total} were written")


CHECKS = (
    Check("errors.no-such-array", "8", "an array that does not exist is OUT_OF_RANGE", _no_such_array),
    Check("errors.does-not-fit", "7.5", "a topology that is too large is DOES_NOT_FIT, in words", _does_not_fit),
    Check("errors.fault-log", "7.3", "the fault log is numbered from 0 and can be read from any number on", _fault_log),
)
