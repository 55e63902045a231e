"""What must not happen twice: pulses and waits asked for again (PROTOCOL.md sections 5 and 7.9)."""

from __future__ import annotations

import time

import numpy as np

from firmware_specs.codes import Capability, DeviceFlag, Kind, Opcode
from firmware_specs.frame import Frame
from firmware_specs.messages import Pulse, Refusal, Term, pack_number, parse_number
from hil.conformance.check import Check
from hil.conformance.checks import coincidences, updates
from hil.conformance.checks.pulses import ready
from hil.conformance.conversation import Answer, Failed, Skipped, demand, parsed
from hil.conformance.subject import WATCHDOG_S, FrameSubject


def _accepted(answer: Answer, armed_at: float) -> None:
    """A pulse with outputs on is not refused; of a host that let the watchdog trip before it came, nothing is known."""
    if answer.kind != Kind.ERROR:
        return
    refusal, late_s = parsed(Refusal, answer.payload, "ERROR"), time.monotonic() - armed_at
    if late_s > WATCHDOG_S / 2:
        raise Skipped(f"this host was late itself, {late_s:.1f} s after it armed: check again when it is quieter")
    raise Failed(f"a pulse with outputs on was refused with code {refusal.code}")


def _once(subject: FrameSubject) -> None:
    armed_at = time.monotonic()
    ready(subject)
    raw, region = subject.raw, subject.region()
    before = subject.usage(region).pulses.astype(np.int64)
    request = Pulse(region, True, *subject.pulse_shape(), 2)
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, raw.sequence, 0, 1, request.pack())
    answers = [raw.exchange([frame]) for _ in range(3)]
    _accepted(answers[0], armed_at)
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 2).all()), f"a request for 2 pulses, sent three times, gave {grown.max()} pulses a cell")
    demand(len({a.payload for a in answers}) == 1, "the duplicates got other replies")
    demand(bool(answers[-1].flags & DeviceFlag.REPLAYED), "the replayed flag is not set")


def _update_once(subject: FrameSubject) -> None:
    subject.needs(Capability.USAGE)
    armed_at = time.monotonic()
    sample = updates.ready(subject)
    raw, region = subject.raw, updates.last(subject)
    before = subject.usage(region).pulses.astype(np.int64)
    payload = sample.request([Term(1, 2)], [0.0]).pack()
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.UPDATE, 0, raw.session, raw.sequence, 0, 1, payload)
    answers = [raw.exchange([frame]) for _ in range(3)]
    _accepted(answers[0], armed_at)
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 1).all()), f"an UPDATE, sent three times, counts as {grown.max()} pulses a cell")
    demand(len({a.payload for a in answers}) == 1, "the duplicates got other replies")
    raw.sync(previous=raw.session)  # as after a lost reply
    again = Frame(Kind.REQUEST, Opcode.UPDATE, 0, raw.session, frame.sequence, 0, 1, payload)
    raw.exchange([again])
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 1).all()), f"an UPDATE, asked for again after a SYNC, counts as {grown.max()} pulses a cell")


def _coincide_once(subject: FrameSubject) -> None:
    armed_at = time.monotonic()
    coincidences.ready(subject)
    raw, region = subject.raw, subject.region()
    train = coincidences.striped(region, 2)
    before = subject.usage(region).pulses.astype(np.int64)
    payload = coincidences.request(subject, [train]).pack()
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.COINCIDE, 0, raw.session, raw.sequence, 0, 1, payload)
    answers = [raw.exchange([frame]) for _ in range(3)]
    _accepted(answers[0], armed_at)
    raw.sync(previous=raw.session)  # as after a lost reply
    again = Frame(Kind.REQUEST, Opcode.COINCIDE, 0, raw.session, frame.sequence, 0, 1, payload)
    raw.exchange([again])
    grown = subject.usage(region).pulses - before
    demand(bool((grown == train.counts).all()), f"trains, sent four times, gave cells {grown.tolist()} pulses")
    demand(len({a.payload for a in answers}) == 1, "the duplicates got other replies")


def _once_across_sync(subject: FrameSubject) -> None:
    armed_at = time.monotonic()
    ready(subject)
    raw, region = subject.raw, subject.region()
    before = subject.usage(region).pulses.astype(np.int64)
    payload = Pulse(region, True, *subject.pulse_shape(), 1).pack()
    sequence = raw.sequence + 1
    raw.send_frame(Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, sequence, 0, 1, payload))
    answer = raw.sync(previous=raw.session)  # as after a lost reply
    demand(answer.last == sequence, f"last {answer.last} after a pulse with sequence {sequence}")
    _accepted(raw.exchange([Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, sequence, 0, 1, payload)]), armed_at)
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 1).all()), f"1 pulse, asked for again after a SYNC, gave {grown.max()}")


def _wait(subject: FrameSubject) -> None:
    subject.needs(Capability.VIRTUAL_CLOCK)
    raw = subject.raw
    before = parse_number(raw.ask(Opcode.CLOCK))
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.WAIT, 0, raw.session, raw.sequence, 0, 1, pack_number(3600.0))
    for _ in range(2):
        raw.exchange([frame])
    passed = parse_number(raw.ask(Opcode.CLOCK)) - before
    demand(3600 <= passed < 3700, f"WAIT of 3600 s, sent twice as a duplicate, moved the clock by {passed:.0f} s")


CHECKS = (
    Check("pulses.once", "5.2", "a pulse request sent three times pulses once", _once),
    Check("pulses.once-across-sync", "5.3", "a pulse request repeated after a SYNC pulses once", _once_across_sync),
    Check("updates.once", "5.2", "an update sent again, before and after a SYNC, moves cells once", _update_once),
    Check("coincidences.once", "5.2", "trains sent again, before and after a SYNC, pulse once", _coincide_once),
    Check("clock.wait", "7.9", "WAIT moves the clock, once", _wait),
)
