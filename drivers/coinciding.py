"""Pulses on rows and columns, in as many requests as the device's messages and times ask for.

What cells get is known before it goes out, since the host draws the slots: all of it is charged first, and a request is
never sent twice by itself (PROTOCOL.md 5.2, SCPI.md 4.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from drivers.cells import UNKNOWN, Codes
from drivers.errors import OutOfRange, ProtocolViolation
from drivers.portions import Cost
from drivers.session import Session
from firmware_specs import deeds
from firmware_specs.codes import Parameter
from firmware_specs.messages import PULSES_A_CELL, PULSES_AT_ONCE, Coincide, Train

TRAIN_BYTES = 96
"""Of a train besides its bits, as numbers or as text, at most."""


def coincided(session: Session, whole: Coincide, known: Sequence[Codes], g_most_s: float) -> int:
    """Pulses rows and columns; returns the largest pulse total any cell of the trains' regions has now.

    Args:
        session: The open device.
        whole: All trains.
        known: Codes known to be in the array's cells, (planes, rows, columns) a coupling; those that get pulses are not
            known after it.
        g_most_s: The largest conductance a cell can have, siemens.

    Raises:
        OutOfRange: beyond a limit, or lines that are not there. BudgetSpent: a cell would get too many pulses.
    """
    _check(session, whole, known)
    slot_s = whole.width_s + session.info.seconds(Parameter.WRITE_TIME_S)
    requests = list(_requests(session, whole, slot_s))
    _charge(session, whole, known, g_most_s)
    most = 0
    for request in requests:
        for train in request.trains:
            known[train.region.coupling][train.region.plane][train.region.slices][train.counts > 0] = UNKNOWN
        pulses, seconds = request.pulses, request.slots * slot_s
        done = session.counted(
            lambda device: device.coincide(request, seconds),  # noqa: B023 - called here
            [deeds.coincided(request.trains, slot_s)],
        )
        if done.delivered != pulses:
            text = f"{pulses} pulses were asked for, the device says it delivered {done.delivered}"
            raise ProtocolViolation(text, device=session.address, todo="Read the cells and their usage before going on")
        most = max(most, done.most)
    return most


def _requests(session: Session, whole: Coincide, slot_s: float) -> Iterator[Coincide]:
    """Trains cut where a message or the time of a request ends, several in one where they fit."""
    most_slots = min(PULSES_A_CELL, session.portions.most("one slot of pulses", Cost(seconds=slot_s)))
    gathered: list[Train] = []
    size = slots = pulses = 0
    for train in whole.trains:
        each = len(train.bits) // train.slots
        most = session.portions.most("one slot of pulses", Cost(each, seconds=slot_s), TRAIN_BYTES)
        room = session.dialect.max_request - TRAIN_BYTES
        for part in _cut(train, min(most, most_slots)):
            part_bytes = len(part.bits) + TRAIN_BYTES
            part_pulses = int(part.counts.sum())
            full = size + part_bytes > room or slots + part.slots > most_slots or pulses + part_pulses > PULSES_AT_ONCE
            if gathered and full:
                yield replace(whole, trains=tuple(gathered))
                gathered, size, slots, pulses = [], 0, 0, 0
            gathered.append(part)
            size, slots, pulses = size + part_bytes, slots + part.slots, pulses + part_pulses
    if gathered:
        yield replace(whole, trains=tuple(gathered))


def _cut(train: Train, most: int) -> Iterator[Train]:
    """A train in parts of at most so many slots, and of no more pulses than one request may have."""
    busiest = max(1, int((train.rows.sum(1) * train.columns.sum(1)).max()))
    step = max(1, min(most, PULSES_AT_ONCE // busiest))
    for at in range(0, train.slots, step):
        yield replace(train, rows=train.rows[at : at + step], columns=train.columns[at : at + step])


def _charge(session: Session, whole: Coincide, known: Sequence[Codes], g_most_s: float) -> None:
    """All trains of a plane together, the heat of half-selected cells included; refused before anything is charged."""
    share = session.info.parameter(Parameter.HALF_SELECT)
    totals = whole.totals(lambda coupling: known[coupling].shape[1:])
    planes = {plane: (sums[0], sums[1] * share**2) for plane, sums in totals.items()}
    session.guard.charge_coincidences(planes, whole.amplitude_v, whole.width_s, g_most_s)


def _check(session: Session, whole: Coincide, known: Sequence[Codes]) -> None:
    device = session.address
    if not whole.trains:
        raise OutOfRange("coincide: at least one train is needed", device=device)
    for number, train in enumerate(whole.trains):
        region, what = train.region, f"coincide: train {number}"
        planes, rows, columns = known[region.coupling].shape if 0 <= region.coupling < len(known) else (0, 0, 0)
        inside = region.row >= 0 and region.row + region.rows <= rows
        inside = inside and region.column >= 0 and region.column + region.columns <= columns
        if region.array != whole.array or not 0 <= region.plane < planes or not inside:
            raise OutOfRange(f"{what}: {region} is not on array {whole.array}; nothing was sent", device=device)
        shapes = (train.slots, region.rows), (train.slots, region.columns)
        given = train.rows.shape, train.columns.shape
        if not train.slots or given != shapes or {train.rows.dtype, train.columns.dtype} != {np.dtype(np.bool_)}:
            text = f"{what}: bits of {given}, of bool {shapes} with at least one slot are needed; nothing was sent"
            raise OutOfRange(text, device=device)
