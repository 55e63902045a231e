"""Pulses: direction, count, budget (PROTOCOL.md sections 6.6 and 7.6)."""

from __future__ import annotations

import numpy as np

from firmware_specs.codes import Capability, ErrorCode, Opcode, Parameter
from firmware_specs.messages import Pulse
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.subject import Subject


def ready(subject: Subject) -> None:
    """The small block on a device that pulses and counts, outputs on."""
    subject.needs(Capability.PULSE, Capability.USAGE)
    subject.pulse_shape()
    subject.prepare()


def _direction(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    ready(subject)
    subject.write({0: 0.5})
    region, start = subject.region(), subject.read_levels(subject.region())
    subject.pulse(region, True, subject.pulse_budget // 2)
    risen = subject.read_levels(region)
    demand(float(np.mean(risen - start)) > 0, f"up pulses changed the level by {np.mean(risen - start):+.4f}")
    subject.pulse(region, False, subject.pulse_budget // 2)
    fallen = subject.read_levels(region)
    demand(float(np.mean(fallen - risen)) < 0, f"down pulses changed the level by {np.mean(fallen - risen):+.4f}")


def _counted(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    before = subject.usage(region).pulses.astype(np.int64)
    reply = subject.pulse(region, True, 3)
    grown = subject.usage(region).pulses - before
    demand(bool((grown == 3).all()), f"3 pulses a cell counted as {grown.min()} .. {grown.max()}")
    demand(reply.delivered == 3 * region.cells, f"delivered {reply.delivered}, expected {3 * region.cells}")
    demand(reply.most == int((before + 3).max()), f"most {reply.most}, USAGE says {int((before + 3).max())}")


def _each_its_own(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    counts = (np.arange(region.cells) % 3).astype(np.uint16).reshape(region.rows, region.columns)
    before = subject.usage(region).pulses.astype(np.int64)
    request = Pulse(region, False, *subject.pulse_shape(), counts)
    subject.verbs.ask(Opcode.PULSE, request.pack())
    grown = subject.usage(region).pulses - before
    demand(bool((grown == counts).all()), f"counts {counts.tolist()} were delivered as {grown.tolist()}")


def _joules(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    ready(subject)
    subject.write({0: 0.5})
    region, p = subject.region(), subject.parameters
    before = subject.usage(region).energy_j
    subject.pulse(region, True, 2)
    spent_j = float((subject.usage(region).energy_j - before).mean())
    share = float(subject.read_levels(region).mean())
    g_s = p[Parameter.G_MIN_S] + share * (p[Parameter.G_MAX_S] - p[Parameter.G_MIN_S])
    volts, seconds = subject.pulse_shape()
    wanted_j = 2 * volts**2 * seconds * g_s
    demand(
        wanted_j / 2 < spent_j < 2 * wanted_j, f"2 pulses count {spent_j:.3g} J a cell, V^2 x s x G is {wanted_j:.3g} J"
    )


def _budget(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    used = subject.usage(region).pulses.astype(np.int64)
    subject.limit(max_pulses_per_cell=float(used.max() + 3))
    subject.pulse(region, True, 3)
    request = Pulse(region, True, *subject.pulse_shape(), 1)
    refusal = subject.verbs.refused(Opcode.PULSE, request.pack(), ErrorCode.BUDGET)
    spent = int(np.flatnonzero(used.ravel() == used.max())[0])
    subject.pointed(refusal, spent, f"{spent}, the first spent cell")
    grown = subject.usage(region).pulses - used
    demand(bool((grown == 3).all()), f"a refused pulse request reached cells: {grown.min()} .. {grown.max()} pulses")


CHECKS = (
    Check("pulses.direction", "7.6", "up pulses raise, down pulses lower the conductance", _direction),
    Check("pulses.counted", "7.6", "USAGE, delivered and most count every pulse", _counted),
    Check("pulses.each-its-own", "7.6", "every cell gets the count that is meant for it", _each_its_own),
    Check("pulses.joules", "7.6", "a pulse counts as amplitude^2 x width x conductance", _joules),
    Check("pulses.budget", "6.6", "a request beyond a cell's budget is refused as a whole", _budget),
)
