"""COINCIDE: which cells move, how often, what half-selected ones do, and what is refused (PROTOCOL.md section 7.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ErrorCode, Opcode, Parameter
from firmware_specs.messages import Coincide, Pulsed, Region, Train
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.subject import Subject

Counts = NDArray[np.int64]


def ready(subject: Subject) -> None:
    """The small block on a device that pulses lines together and counts, outputs on."""
    subject.needs(Capability.COINCIDE, Capability.USAGE)
    subject.pulse_shape()
    subject.prepare()


def striped(region: Region, slots: int, up: bool = True) -> Train:
    """Every third line from the first one on in every slot, the second line in the first slot only."""
    lines = [np.tile(np.arange(count) % 3 == 0, (slots, 1)) for count in (region.rows, region.columns)]
    for line in lines:
        line[0, 1:2] = True
    return Train(region, up, *lines)


def request(subject: Subject, trains: Sequence[Train], amplitude_v: float | None = None) -> Coincide:
    """A request of the pulses that were chosen, of another height where one is given."""
    volts, seconds = subject.pulse_shape()
    return Coincide(0, volts if amplitude_v is None else amplitude_v, seconds, tuple(trains))


def coincide(subject: Subject, asked: Coincide) -> Pulsed:
    """One COINCIDE."""
    return parsed(Pulsed, subject.verbs.ask(Opcode.COINCIDE, asked.pack()), "COINCIDE")


def _used(subject: Subject, region: Region) -> Counts:
    return subject.usage(region).pulses.astype(np.int64)


def _counted(subject: Subject) -> None:
    ready(subject)
    regions = [subject.region(plane) for plane in range(min(2, subject.planes))]
    before = [_used(subject, region) for region in regions]
    trains = [striped(region, 2 + number, up=number == 0) for number, region in enumerate(regions)]
    trains.append(striped(regions[0], 1))
    reply = coincide(subject, request(subject, trains))
    wanted = [train.counts for train in trains[:-1]]
    wanted[0] = wanted[0] + trains[-1].counts
    after = [_used(subject, region) for region in regions]
    for region, had, has, counts in zip(regions, before, after, wanted, strict=True):
        grown = (has - had).tolist()
        demand(grown == counts.tolist(), f"plane {region.plane}: cells got {grown} pulses, expected {counts.tolist()}")
    total, most = sum(int(counts.sum()) for counts in wanted), max(int(has.max()) for has in after)
    demand(reply.delivered == total, f"delivered {reply.delivered}, expected {total}")
    demand(reply.most == most, f"most {reply.most}, USAGE says {most}")


def _direction(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    ready(subject)
    region, slots = subject.region(), max(2, subject.pulse_budget // 4)
    meet = np.outer(np.arange(region.rows) % 3 == 0, np.arange(region.columns) % 3 == 0)
    for up in (True, False):
        subject.write({0: 0.5})
        before = subject.read_levels(region)
        third = [np.tile(np.arange(count) % 3 == 0, (slots, 1)) for count in (region.rows, region.columns)]
        coincide(subject, request(subject, [Train(region, up, *third)]))
        moved = subject.read_levels(region) - before
        mean, others = float(moved[meet].mean()), float(moved[~meet].mean())
        words = f"{'up' if up else 'down'}: where lines meet levels moved by {mean:+.4f}, elsewhere by {others:+.4f}"
        demand(mean > 0 if up else mean < 0, words)
        demand(abs(others) < abs(mean) / 2, words)


def _half_selected(subject: Subject) -> None:
    ready(subject)
    share = subject.parameters[Parameter.HALF_SELECT]
    threshold_v = subject.parameters.get(Parameter.PULSE_THRESHOLD_V, 0.0)
    amplitude_v = 1.01 * threshold_v / share if share > 0 else float("inf")
    if amplitude_v == 0 or amplitude_v > subject.limits.active.max_pulse_v:
        raise Skipped("no amplitude within max_pulse_v would move half-selected cells")
    region = subject.region()
    before = _used(subject, region)
    too_high = request(subject, [striped(region, 1)], amplitude_v)
    subject.verbs.refused(Opcode.COINCIDE, too_high.pack(), ErrorCode.OUT_OF_RANGE)
    demand(not (_used(subject, region) - before).any(), "a refused request reached cells")


def _limit(subject: Subject) -> None:
    ready(subject)
    asked = request(subject, [striped(subject.region(), 1)])
    subject.limit(max_pulse_v=asked.amplitude_v / 2)
    refusal = subject.verbs.refused(Opcode.COINCIDE, asked.pack(), ErrorCode.LIMIT)
    subject.pointed(refusal, 2, "limit 2 (max_pulse_v)")


def _budget(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    used = _used(subject, region)
    subject.limit(max_pulses_per_cell=float(used.max() + 3))
    every = np.ones((2, region.rows), np.bool_), np.ones((2, region.columns), np.bool_)
    asked = request(subject, [Train(region, True, *every), Train(region, False, *every)])
    refusal = subject.verbs.refused(Opcode.COINCIDE, asked.pack(), ErrorCode.BUDGET)
    first = int(np.flatnonzero(used.ravel() > used.max() - 1)[0])
    subject.pointed(refusal, first, f"{first}, the first spent cell")
    grown = _used(subject, region) - used
    demand(not grown.any(), f"trains that are together beyond the budget gave cells up to {grown.max()} pulses")


def _refused(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    for wrong in (
        replace(region, rows=region.rows + 1),
        replace(region, plane=subject.planes),
        replace(region, coupling=len(subject.topology.couplings)),
    ):
        asked = request(subject, [striped(region, 1), striped(wrong, 1)])
        subject.verbs.refused(Opcode.COINCIDE, asked.pack(), ErrorCode.OUT_OF_RANGE)


def _malformed(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    sound = request(subject, [striped(replace(region, rows=1, columns=1), 1)])
    payload = sound.pack()
    for wrong in (request(subject, []).pack(), payload[:-1], payload + b"\0", payload[:-2] + b"\x02\x01"):
        subject.verbs.refused(Opcode.COINCIDE, wrong, ErrorCode.MALFORMED)


OF_FRAMES = (
    Check("coincidences.malformed", "7.11", "no train, bits missing, left over or beyond the last line", _malformed),
)
CHECKS = (
    Check("coincidences.counted", "7.11", "a cell gets a pulse in every slot in which its lines meet", _counted),
    Check("coincidences.direction", "7.11", "cells move where pulses meet, as polarity says, others stay", _direction),
    Check("coincidences.half-selected", "7.11", "an amplitude that would move half-selected cells is refused",
          _half_selected),
    Check("coincidences.refused", "7.11", "lines, planes and couplings that are not there are refused", _refused),
    Check("coincidences.limit", "6.6", "an amplitude beyond max_pulse_v is refused", _limit),
    Check("coincidences.budget", "6.6", "trains that together exceed a cell's budget are refused as a whole", _budget),
)  # fmt: skip
