"""Pulses: direction, count, budget, and never twice (PROTOCOL.md sections 5, 6.6 and 7.6)."""

from __future__ import annotations

import numpy as np

from firmware_specs.codes import Capability, DeviceFlag, ErrorCode, Kind, Opcode
from firmware_specs.frame import Frame
from firmware_specs.messages import Pulse
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.subject import Subject


def _ready(subject: Subject) -> None:
    subject.needs(Capability.PULSE, Capability.USAGE)
    subject.prepare()


def _direction(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    _ready(subject)
    subject.write({0: 0.5})
    region, start = subject.region(), subject.read_levels(subject.region())
    subject.pulse(region, True, subject.pulse_budget // 2)
    risen = subject.read_levels(region)
    demand(float(np.mean(risen - start)) > 0, f"up pulses changed the level by {np.mean(risen - start):+.4f}")
    subject.pulse(region, False, subject.pulse_budget // 2)
    fallen = subject.read_levels(region)
    demand(float(np.mean(fallen - risen)) < 0, f"down pulses changed the level by {np.mean(fallen - risen):+.4f}")


def _counted(subject: Subject) -> None:
    _ready(subject)
    region = subject.region()
    before = subject.usage(region).pulses.astype(np.int64)
    reply = subject.pulse(region, True, 3)
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 3).all()), f"3 pulses a cell counted as {grown.min()} .. {grown.max()}")
    demand(reply.delivered == 3 * region.cells, f"delivered {reply.delivered}, expected {3 * region.cells}")
    demand(reply.most == int((before + 3).max()), f"most {reply.most}, USAGE says {int((before + 3).max())}")


def _each_its_own(subject: Subject) -> None:
    _ready(subject)
    region, limits = subject.region(), subject.limits.active
    counts = (np.arange(region.cells) % 3).astype(np.uint16).reshape(region.rows, region.columns)
    before = subject.usage(region).pulses.astype(np.int64)
    request = Pulse(region, False, limits.max_pulse_v / 2, limits.max_pulse_s / 2, counts)
    subject.raw.ask(Opcode.PULSE, request.pack())
    grown = subject.usage(region).pulses - before
    demand(bool((grown == counts).all()), f"counts {counts.tolist()} were delivered as {grown.tolist()}")


def _once(subject: Subject) -> None:
    _ready(subject)
    raw, region, limits = subject.raw, subject.region(), subject.limits.active
    before = subject.usage(region).pulses.astype(np.int64)
    request = Pulse(region, True, limits.max_pulse_v / 2, limits.max_pulse_s / 2, 2)
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, raw.sequence, 0, 1, request.pack())
    answers = [raw.exchange([frame]) for _ in range(3)]
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 2).all()), f"a request for 2 pulses, sent three times, gave {grown.max()} pulses a cell")
    demand(len({a.payload for a in answers}) == 1, "the duplicates got other replies")
    demand(bool(answers[-1].flags & DeviceFlag.REPLAYED), "the replayed flag is not set")


def _once_across_sync(subject: Subject) -> None:
    _ready(subject)
    raw, region, limits = subject.raw, subject.region(), subject.limits.active
    before = subject.usage(region).pulses.astype(np.int64)
    payload = Pulse(region, True, limits.max_pulse_v / 2, limits.max_pulse_s / 2, 1).pack()
    sequence = raw.sequence + 1
    raw.send_frame(Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, sequence, 0, 1, payload))
    answer = raw.sync(previous=raw.session)  # as after a lost reply
    demand(answer.last == sequence, f"last {answer.last} after a pulse with sequence {sequence}")
    raw.exchange([Frame(Kind.REQUEST, Opcode.PULSE, 0, raw.session, sequence, 0, 1, payload)])
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 1).all()), f"1 pulse, asked for again after a SYNC, gave {grown.max()}")


def _budget(subject: Subject) -> None:
    _ready(subject)
    region = subject.region()
    used = subject.usage(region).pulses.astype(np.int64)
    subject.limit(max_pulses_per_cell=float(used.max() + 3))
    subject.pulse(region, True, 3)
    limits = subject.limits.active
    request = Pulse(region, True, limits.max_pulse_v / 2, limits.max_pulse_s / 2, 1)
    refusal = subject.raw.refused(Opcode.PULSE, request.pack(), ErrorCode.BUDGET)
    spent = int(np.flatnonzero(used.ravel() == used.max())[0])
    demand(refusal.detail == spent, f"detail {refusal.detail}, the first spent cell is at {spent}")
    grown = subject.usage(region).pulses - used
    demand(bool((grown == 3).all()), f"a refused pulse request reached cells: {grown.min()} .. {grown.max()} pulses")


CHECKS = (
    Check("pulses.direction", "7.6", "up pulses raise, down pulses lower the conductance", _direction),
    Check("pulses.counted", "7.6", "USAGE, delivered and most count every pulse", _counted),
    Check("pulses.each-its-own", "7.6", "every cell gets the count that is meant for it", _each_its_own),
    Check("pulses.once", "5.2", "a pulse request sent three times pulses once", _once),
    Check("pulses.once-across-sync", "5.3", "a pulse request repeated after a SYNC pulses once", _once_across_sync),
    Check("pulses.budget", "6.6", "a request beyond a cell's budget is refused as a whole", _budget),
)
