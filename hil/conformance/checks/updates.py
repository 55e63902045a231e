"""UPDATE: which way cells move, by how much, how often, and what is refused (PROTOCOL.md section 7.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, ErrorCode, Opcode, Parameter
from firmware_specs.messages import Region, Settle, Term, Update, Updated
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.subject import Subject

SHIFT = 0.2
"""Share of the range by which the cell of the largest contrast is to move."""
MOST_UPDATES = 8
ALIKE = 0.7
"""Correlation with the contrast, at least: circuits scatter."""
TWICE = 2.5
"""Factor on the nominal movement, either way, that is still the circuits' scatter."""
Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """What one sample is driven with, in codes of one row."""

    drive: NDArray[np.unsignedinteger]
    nudges: tuple[NDArray[np.unsignedinteger], ...]

    def request(self, terms: Sequence[Term], windows_s: Sequence[float]) -> Update:
        """The sample so many times as there are windows."""
        many = [np.repeat(codes, len(windows_s), axis=0) for codes in (self.drive, *self.nudges)]
        return Update(0, many[0], tuple(many[1:]), tuple(terms), np.asarray(windows_s, np.float32))


def ready(subject: Subject) -> Sample:
    """The small block with cells at mid-range on a device that updates itself, outputs on; and a sample."""
    subject.needs(Capability.UPDATE, Capability.SETTLE)
    subject.prepare()
    if Capability.WRITE in subject.identity.capabilities:
        subject.write_all(0.5)
    units, outputs = int(np.prod(subject.topology.drive_shape)), int(np.prod(subject.topology.nudge_shape))
    dac, nudge_dac = subject.converters[ConverterId.DRIVE_DAC], subject.converters[ConverterId.NUDGE_DAC]
    limits = subject.limits.active
    limit = limits.max_source_v if subject.fabric.resistive else limits.max_drive_a
    reach = 0.9 * min(dac.high, limit, 2 * subject.parameters[Parameter.STATE_UNIT_V] if subject.fabric.resistive else
                      2 * subject.current_unit_a / subject.rail)  # fmt: skip
    drive = reach * np.linspace(0.4, 1.0, units)[None]
    push = 0.9 * min(-nudge_dac.low, nudge_dac.high, limits.max_drive_a, subject.current_unit_a / subject.rail)
    nudge = push * np.where(np.arange(outputs) % 2, -1.0, 1.0)[None]
    codes = [subject.codes(ConverterId.NUDGE_DAC, sign * nudge) for sign in (1, -1)]
    return Sample(subject.codes(ConverterId.DRIVE_DAC, drive), tuple(codes))


def update(subject: Subject, request: Update) -> Updated:
    """One UPDATE."""
    return parsed(Updated, subject.verbs.ask(Opcode.UPDATE, request.pack()), "UPDATE")


def last(subject: Subject, plane: int = 0) -> Region:
    """The cells of the coupling that leads to the nudged layer."""
    return subject.region(plane, len(subject.topology.couplings) - 1)


def _contrast(subject: Subject, sample: Sample) -> Levels:
    """Of the cells of the last coupling, plane 0, by the states of the nudged phases as a SETTLE measures them."""
    coupling, reads = subject.topology.couplings[-1], subject.reads(8)
    layers = tuple(layer for layer in (coupling.pre, coupling.post) if layer >= 0)
    reply = subject.settle(Settle(0, sample.drive, sample.nudges, layers, reads))
    measured = {layer: subject.states(reply, at, layer, reads)[1:, 0] for at, layer in enumerate(layers)}
    if coupling.pre < 0:
        dac = subject.converters[ConverterId.DRIVE_DAC]
        volts = dac.low + sample.drive[0].astype(np.float64) * dac.lsb
        measured[-1] = np.repeat(volts[None] / subject.parameters[Parameter.STATE_UNIT_V], 2, axis=0)
    pre, post = measured[coupling.pre][:, :, None], measured[coupling.post][:, None]
    both = (pre - post) ** 2 / -2 if subject.fabric.resistive else pre * post
    return np.asarray(both[0] - both[1]) * subject.rail**2  # states are in units of the rail


def _windows(subject: Subject, largest: float) -> tuple[list[float], int]:
    """Windows of one request, and how many requests, that move a cell of this contrast by about `SHIFT`."""
    p = subject.parameters
    wanted_s = SHIFT / (p[Parameter.UPDATE_RATE_PER_S] * max(largest, 1e-12))
    window_s = min(wanted_s, 0.999 * p[Parameter.UPDATE_WINDOW_S])
    samples = max(1, min(round(wanted_s / window_s), int(p[Parameter.UPDATE_BATCH]), 64))
    return [window_s] * samples, min(MOST_UPDATES, max(1, round(wanted_s / window_s / samples)))


def _movement(subject: Subject, sample: Sample, term: Term, contrast: Levels, plane: int = 0) -> Levels:
    """How the levels of a plane move, and the nominal movement they are held against."""
    subject.write_all(0.5)
    windows, requests = _windows(subject, float(np.abs(contrast).max()))
    before = subject.read_levels(last(subject, plane))
    for _ in range(requests):
        update(subject, sample.request([term], windows))
    return subject.read_levels(last(subject, plane)) - before


def _direction(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    sample = ready(subject)
    contrast = _contrast(subject, sample)
    windows, requests = _windows(subject, float(np.abs(contrast).max()))
    nominal = subject.parameters[Parameter.UPDATE_RATE_PER_S] * sum(windows) * requests * contrast
    if np.abs(nominal).max() < SHIFT / 2:
        raise Skipped(f"{MOST_UPDATES} updates with the longest windows move no cell by {SHIFT / 2} of its range")
    for plane in range(subject.planes):
        # what is alike in both polarities is no contrast
        up, down = (_movement(subject, sample, Term(1, 2, way), contrast, plane) for way in (True, False))
        moved, expected = (up - down) / 2, -nominal if plane else nominal
        fit = float(np.corrcoef(moved.ravel(), expected.ravel())[0, 1])
        words = (
            f"plane {plane}: levels moved by {moved.round(3).tolist()}, the contrast is {expected.round(3).tolist()}"
        )
        demand(fit > ALIKE, f"{words}: correlation {fit:.2f}")
        factor = float(np.abs(moved).sum() / np.abs(expected).sum())
        demand(1 / TWICE < factor < TWICE, f"{words}: {factor:.2f} times the nominal movement")


def _exchanged(subject: Subject) -> None:
    """Two terms whose phases are exchanged take back what each does, and so do two polarities."""
    subject.needs(Capability.WRITE, Capability.READ)
    sample = ready(subject)
    contrast = _contrast(subject, sample)
    windows, _ = _windows(subject, float(np.abs(contrast).max()))
    moved = []
    for terms in ([Term(1, 2)] * 2, [Term(1, 2), Term(1, 2, False)]):
        subject.write_all(0.5)
        before = subject.read_levels(last(subject))
        update(subject, sample.request(terms, [window / 2 for window in windows]))
        moved.append(float(np.abs(subject.read_levels(last(subject)) - before).mean()))
    demand(
        moved[1] < moved[0] / 2, f"two terms alike move levels by {moved[0]:.3f}, one against the other {moved[1]:.3f}"
    )


def _counted(subject: Subject) -> None:
    subject.needs(Capability.USAGE)
    sample = ready(subject)
    regions = [
        subject.region(plane, n) for n in range(len(subject.topology.couplings)) for plane in range(subject.planes)
    ]
    before = [subject.usage(region).pulses.astype(np.int64) for region in regions]
    reply = update(subject, sample.request([Term(1, 2), Term(1, 0)], [0.0]))
    after = [subject.usage(region).pulses.astype(np.int64) for region in regions]
    grown = [int(n) for a, b in zip(after, before, strict=True) for n in np.unique(a - b)]
    demand(
        set(grown) == {1}, f"an UPDATE of two terms counts as {min(grown)} .. {max(grown)} pulses, expected 1 a cell"
    )
    most = max(int(values.max()) for values in after)
    demand(reply.most == most, f"most {reply.most}, USAGE says {most}")


def _closed(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    sample = ready(subject)
    before = subject.read_levels(last(subject))
    update(subject, sample.request([Term(1, 2)], [0.0]))
    moved = float(np.abs(subject.read_levels(last(subject)) - before).mean())
    demand(moved < SHIFT / 4, f"a window of 0 s moved levels by {moved:.3f}")


def _refused(subject: Subject) -> None:
    sample, p = ready(subject), subject.parameters
    sound = sample.request([Term(1, 2)], [0.0])
    longest = np.float32(p[Parameter.UPDATE_WINDOW_S])
    too_long = replace(sound, windows_s=np.array([np.nextafter(longest, np.float32(np.inf)) * 2], np.float32))
    subject.verbs.refused(Opcode.UPDATE, too_long.pack(), ErrorCode.OUT_OF_RANGE)
    most = int(p[Parameter.UPDATE_BATCH])
    many = sample.request([Term(1, 2)], [0.0] * (most + 1)) if most <= 4096 else None
    if many is not None and len(many.pack()) < subject.verbs.max_request:
        subject.verbs.refused(Opcode.UPDATE, many.pack(), ErrorCode.OUT_OF_RANGE)


def _malformed(subject: Subject) -> None:
    sound = ready(subject).request([Term(1, 2)], [0.0])
    for terms in ([Term(3, 0)], [Term(0, 3)], [Term(1, 2)] * 5):
        subject.verbs.refused(Opcode.UPDATE, replace(sound, terms=tuple(terms)).pack(), ErrorCode.MALFORMED)
    negative = replace(sound, windows_s=np.array([-1.0], np.float32))
    subject.verbs.refused(Opcode.UPDATE, negative.pack(), ErrorCode.MALFORMED)


def _limit(subject: Subject) -> None:
    sample = ready(subject)
    largest = subject.converters[ConverterId.NUDGE_DAC]
    subject.limit(max_drive_a=min(subject.limits.absolute.max_drive_a, largest.high / 2))
    beyond = subject.codes(ConverterId.NUDGE_DAC, np.full((1, sample.nudges[0].shape[1]), 0.9 * largest.high))
    request = replace(sample, nudges=(beyond, sample.nudges[1])).request([Term(1, 2)], [0.0])
    if not subject.fabric.resistive:  # its drive is beyond the new limit, too
        rest = subject.codes(ConverterId.DRIVE_DAC, np.zeros((1, sample.drive.shape[1])))
        request = replace(request, drive=rest)
    refusal = subject.verbs.refused(Opcode.UPDATE, request.pack(), ErrorCode.LIMIT)
    subject.pointed(refusal, 0, "limit 0 (max_drive_a)")


def _budget(subject: Subject) -> None:
    subject.needs(Capability.USAGE, Capability.WRITE)
    sample = ready(subject)
    every = [subject.usage(subject.region(plane, n)).pulses for n in range(len(subject.topology.couplings))
             for plane in range(subject.planes)]  # fmt: skip
    subject.limit(max_pulses_per_cell=float(max(int(pulses.max()) for pulses in every)))
    used = subject.usage(last(subject)).pulses.astype(np.int64)
    request = sample.request([Term(1, 2)], [subject.parameters[Parameter.UPDATE_WINDOW_S] / 2])
    subject.verbs.refused(Opcode.UPDATE, request.pack(), ErrorCode.BUDGET)
    grown = subject.usage(last(subject)).pulses - used
    demand(not grown.any(), f"an update beyond the budget gave cells up to {grown.max()} pulses")


OF_FRAMES = (
    Check(
        "updates.malformed", "7.10", "phases that are not there, five terms, windows below 0 are MALFORMED", _malformed
    ),
)
CHECKS = (
    Check("updates.direction", "7.10", "cells move by the contrast of two phases, by their nominal rate", _direction),
    Check("updates.exchanged", "7.10", "with the polarity turned a term takes back what it did", _exchanged),
    Check("updates.counted", "7.10", "an update counts as one pulse of every cell, whatever its terms", _counted),
    Check("updates.closed", "7.10", "a window of 0 s moves no cell", _closed),
    Check("updates.refused", "7.10", "windows and samples beyond what the device states are refused", _refused),
    Check("updates.limit", "6.6", "nudges of an update beyond max_drive_a are refused", _limit),
    Check("updates.budget", "6.6", "an update beyond a cell's budget is refused, and moves none", _budget),
)
