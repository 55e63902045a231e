"""Updates by the device itself, in as many requests as its messages, times and stores ask for.

An update moves cells, so that it is charged before it goes out and never sent twice by itself: the protocols' own
numbers see to that (PROTOCOL.md 5.2, SCPI.md 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivers.cells import UNKNOWN, Codes
from drivers.errors import OutOfRange
from drivers.portions import HEAD, Cost
from drivers.session import Session
from firmware_specs import deeds
from firmware_specs.codes import Parameter
from firmware_specs.messages import Update, Updated
from firmware_specs.messages.update import MAX_PHASES, MAX_TERMS

WINDOW_BYTES = 8
BLOCK_HEAD = 8


def updated(session: Session, whole: Update, known: Sequence[Codes]) -> Updated:
    """Lets the device move the cells of an array; returns the sums of what it says, and the largest pulse total.

    Args:
        session: The open device.
        whole: All samples.
        known: Codes known to be in the array's cells, (planes, rows, columns) a coupling; nobody knows them after it.

    Raises:
        OutOfRange: phases, terms or windows that the device cannot do. BudgetSpent: a cell is worn.
    """
    _check(session, whole)
    info = session.info
    wait_s = whole.time_s or info.seconds(Parameter.SETTLE_TIME_S)
    longest_s = len(whole.terms) * float(whole.windows_s.max())
    once_s = info.seconds(Parameter.WRITE_TIME_S)
    blocks = (whole.drive, *whole.nudges)
    bytes_each = WINDOW_BYTES + sum(codes.shape[1] * codes.dtype.itemsize for codes in blocks)
    # cells move once a request, which the first sample of each pays for
    each = Cost(bytes_each, seconds=(1 + len(whole.nudges)) * wait_s + longest_s + once_s)
    fit = session.portions.most("updating by one sample", each, HEAD + BLOCK_HEAD * len(blocks))
    step = min(len(whole.drive), fit, int(info.parameter(Parameter.UPDATE_BATCH)))
    requests = [_part(whole, slice(at, at + step)) for at in range(0, len(whole.drive), step)]
    for coupling, codes in enumerate(known):
        for plane, held in enumerate(codes):
            every = np.arange(held.size)
            session.guard.charge_writes((whole.array, coupling, plane), every, len(requests), info.write_energy_j)
    cells = sum(codes.size for codes in known)
    total = Updated(0, 0, 0, 0)
    for request in requests:
        for codes in known:
            codes[...] = UNKNOWN
        seconds = (1 + len(request.nudges)) * wait_s * len(request.drive)
        seconds += len(request.terms) * float(request.windows_s.sum(dtype=np.float64)) + once_s
        done = session.counted(
            lambda device: device.update(request, seconds),  # noqa: B023 - called here
            [deeds.of_update(request, cells, seconds)],
        )
        clipped, unsettled = total.clipped + done.clipped, total.unsettled + done.unsettled
        total = Updated(clipped, done.ends, unsettled, max(total.most, done.most))
    return total


def _part(whole: Update, cut: slice) -> Update:
    nudges = tuple(codes[cut] for codes in whole.nudges)
    return replace(whole, drive=whole.drive[cut], nudges=nudges, windows_s=whole.windows_s[cut])


def _check(session: Session, whole: Update) -> None:
    samples, phases, device = len(whole.drive), 1 + len(whole.nudges), session.address
    if phases > MAX_PHASES or any(len(codes) != samples for codes in whole.nudges):
        raise OutOfRange(
            f"update: at most {MAX_PHASES - 1} nudges of {samples} samples each are possible", device=device
        )
    named = [phase for term in whole.terms for phase in term[:2]]
    if not 1 <= len(whole.terms) <= MAX_TERMS or not all(0 <= phase < phases for phase in named):
        raise OutOfRange(f"update: 1 to {MAX_TERMS} terms of phases 0 .. {phases - 1} are needed", device=device)
    if whole.windows_s.shape != (samples,):
        raise OutOfRange(f"update: {samples} windows are needed, got {whole.windows_s.shape}", device=device)
    session.guard.finite("update windows", whole.windows_s)
    most_s = np.float32(session.info.parameter(Parameter.UPDATE_WINDOW_S))
    if whole.windows_s.min() < 0 or whole.windows_s.max() > most_s:
        given = f"windows of {whole.windows_s.min():g} .. {whole.windows_s.max():g} s"
        raise OutOfRange(f"update: {given}, 0 .. {most_s:g} s are possible; nothing was sent", device=device)
