"""Reading, pulsing, measuring and counting cells, in as many requests as the device's messages and times ask for."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from drivers.convert import Floats
from drivers.errors import ProtocolViolation
from drivers.portions import Cost, counted
from drivers.session import Session
from firmware_specs import deeds
from firmware_specs.codes import Parameter
from firmware_specs.messages import Measure, Pulse, ReadCells, Region, width_for

COUNT_BYTES = 2
CURRENT_BYTES = 8
MOST_VOLTS = 2000
"""Voltages of one request: as text they have to fit a message of SCPI.md 1.5."""


def read_codes(session: Session, region: Region, max_code: int, reads: int) -> NDArray[np.int64]:
    """Conductance codes of a region, (rows, columns), summed over `reads` readings."""
    portions, read_s = session.portions, session.info.seconds(Parameter.READ_TIME_S)
    total = np.zeros((region.rows, region.columns), np.int64)
    for at_once in portions.reads(reads, session.info.max_reads, 0.0, read_s):
        each = Cost(reply=width_for(max_code * at_once), seconds=at_once * read_s)
        for part in portions.regions(region, portions.most("reading one cell", each)):
            seconds = part.cells * each.seconds
            request = ReadCells(part, at_once)
            reply = session.counted(
                lambda device: device.read_cells(request, seconds),  # noqa: B023 - called here
                [deeds.of_read(request, seconds)],
            )
            codes = reply.codes
            expected = (part.rows, part.columns)
            if codes.shape != expected:
                raise ProtocolViolation(f"asked for {expected} cells, {codes.shape} came", device=session.address)
            if codes.size and int(codes.max()) > max_code * at_once:
                text = f"a cell reads code {int(codes.max())}, above the largest, {max_code * at_once}"
                raise ProtocolViolation(text, device=session.address)
            total[_within(region, part)] += codes.astype(np.int64)
    return total


def pulse(
    session: Session, region: Region, up: bool, amplitude_v: float, width_s: float, counts: NDArray[np.int64]
) -> int:
    """Pulses to the cells of a region, each its own number; returns the largest total any of them has now.

    Nothing is checked here: what goes out is charged before.
    """
    each_s = width_s + session.info.seconds(Parameter.WRITE_TIME_S)
    most = 0
    for part, given in session.portions.trains(region, counts, Cost(COUNT_BYTES, seconds=each_s)):
        same = bool((given == given.flat[0]).all())
        count = int(given.flat[0]) if same else given.astype(np.uint16)
        request, seconds = Pulse(part, up, amplitude_v, width_s, count), float(given.sum()) * each_s
        asked = [deeds.of_pulse(request, int(given.sum()), seconds)]
        done = session.counted(lambda device: device.pulse(request, seconds), asked)  # noqa: B023 - called here
        if done.delivered != given.sum():
            text = f"{given.sum()} pulses were asked for, the device says it delivered {done.delivered}"
            raise ProtocolViolation(text, device=session.address, todo="Read the cells and their usage before going on")
        most = max(most, done.most)
    return most


def measure(session: Session, region: Region, volts: NDArray[np.float64], reads: int) -> Floats:
    """Currents of the cells of a region, (volts, reads, rows, columns), amperes."""
    portions = session.portions
    each = Cost(reply=CURRENT_BYTES, seconds=session.info.seconds(Parameter.READ_TIME_S))
    most = portions.most("measuring one cell", each)
    asked = portions.most("one voltage", Cost(request=session.dialect.sizes.volt))
    found = np.zeros((len(volts), reads, region.rows, region.columns))
    at_once = min(reads, most, session.info.max_reads)
    together = max(1, min(len(volts), most // at_once, asked, MOST_VOLTS))
    parts = list(portions.regions(region, max(1, most // (at_once * together))))
    for part, (v, w), (r, s) in product(parts, _cuts(len(volts), together), _cuts(reads, at_once)):
        request = Measure(part, volts[v:w], s - r)
        count = part.cells * (w - v) * (s - r)
        seconds = count * each.seconds
        asked_now = [deeds.of_read(request, seconds)]
        reply = session.counted(lambda device: device.measure(request, seconds), asked_now)  # noqa: B023 - called here
        amperes = reply.amperes
        if amperes.size != count:
            raise ProtocolViolation(f"asked for {count} currents, {amperes.size} came", device=session.address)
        rows, columns = _within(region, part)
        found[v:w, r:s, rows, columns] = amperes.reshape(w - v, s - r, part.rows, part.columns)
    return found


def usage(session: Session, region: Region) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pulses and joules that the cells of a region have had by the device's own count, (rows, columns) each."""
    pulses = np.zeros((region.rows, region.columns), np.int64)
    energy_j = np.zeros(pulses.shape)
    for part in counted(session.dialect, region):
        used = session.call(lambda device: device.usage(part))  # noqa: B023 - called here
        expected = (part.rows, part.columns)
        if used.pulses.shape != expected:
            raise ProtocolViolation(f"asked for {expected} cells, {used.pulses.shape} came", device=session.address)
        pulses[_within(region, part)] = used.pulses
        energy_j[_within(region, part)] = used.energy_j
    return pulses, energy_j


def _within(whole: Region, part: Region) -> tuple[slice, slice]:
    """Where a part lies in the arrays of the whole."""
    row, column = part.row - whole.row, part.column - whole.column
    return slice(row, row + part.rows), slice(column, column + part.columns)


def _cuts(count: int, step: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, count, step), count]))
