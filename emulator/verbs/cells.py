"""Cells: write, read, pulse, measure, count (PROTOCOL.md 7.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator import coding
from emulator.device import MAX_READS, MAX_REWRITES, Device
from emulator.ledger import where
from emulator.refused import Refused
from firmware_specs.codes import WRITE_ONCE, ErrorCode
from firmware_specs.messages import (
    PULSES_A_CELL,
    PULSES_AT_ONCE,
    CellCodes,
    CellUsage,
    Currents,
    Measure,
    Patch,
    Pulse,
    Pulsed,
    ReadCells,
    Region,
    WriteCells,
    Written,
    code_dtype,
)

TOLERANCE = 1 + 1e-9
"""Limits hold up to rounding."""


@dataclass(frozen=True)
class _CellRange:
    """Conductance codes as a converter."""

    low: float
    high: float
    max_code: int


def _range(device: Device) -> _CellRange:
    cells = device.sheet.cells
    return _CellRange(cells.g_min_s, cells.g_max_s, cells.max_code)


def check_region(device: Device, region: Region) -> None:
    """Refuses regions outside what exists."""
    block = device.topology(region.array)
    planes = device.sheet.cells.planes
    if region.coupling >= len(block.couplings):
        words = f"coupling {region.coupling}: array {region.array} has {len(block.couplings)}"
        raise Refused(ErrorCode.OUT_OF_RANGE, words, region.coupling)
    if region.plane >= planes:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"plane {region.plane}: there are {planes}", region.plane)
    rows, columns = block.cells(block.couplings[region.coupling])
    if region.row + region.rows > rows or region.column + region.columns > columns:
        words = f"rows {region.row}+{region.rows}, columns {region.column}+{region.columns} of {rows} x {columns} cells"
        raise Refused(ErrorCode.OUT_OF_RANGE, words)


def write(device: Device, payload: bytes, door: str) -> bytes:
    """WRITE_CELLS: one programming transaction, all patches or none."""
    request = WriteCells.parse(payload)
    block = device.topology(request.array)
    counts = [_counts(device, patch) for patch in request.patches]
    programming = device.sheet.programming
    verify = {0: programming.verify_rounds, WRITE_ONCE: 0}.get(request.verify, request.verify)
    tolerance = request.tolerance if request.verify not in (0, WRITE_ONCE) else programming.verify_tolerance
    if verify > MAX_REWRITES:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"verify = {verify}: at most {MAX_REWRITES} rewrites", MAX_REWRITES)
    for patch, count in zip(request.patches, counts, strict=True):
        most = count.astype(np.int64) * (1 + verify)
        device.ledger.check(patch.region, most, programming.write_energy_j, device.active)
    shapes = [(device.sheet.cells.planes, *block.cells(coupling)) for coupling in block.couplings]
    targets = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    masks = [torch.zeros(shape, dtype=torch.bool) for shape in shapes]
    for patch, count in zip(request.patches, counts, strict=True):
        given = torch.from_numpy(count > 0)
        place = (patch.region.coupling, where(patch.region))
        targets[place[0]][place[1]] = torch.where(given, _targets(device, patch, count), targets[place[0]][place[1]])
        masks[place[0]][place[1]] |= given
    done = device.chip.program(request.array, targets, masks, verify, tolerance)
    device.work(done.pulses * programming.write_time_s)
    device.journal.note("setpoint", f"write cells of array {request.array}", door, cells=done.cells, pulses=done.pulses)
    return Written(done.cells, done.pulses, done.failed).pack()


def _counts(device: Device, patch: Patch) -> np.ndarray:
    """One write for every cell of the patch, (rows, columns)."""
    check_region(device, patch.region)
    largest = device.sheet.cells.max_code
    if patch.codes.dtype.itemsize != code_dtype(largest).itemsize:
        words = f"codes of {patch.codes.dtype.itemsize} bytes, expected {code_dtype(largest).itemsize}"
        raise Refused(ErrorCode.OUT_OF_RANGE, words)
    if patch.codes.size and int(patch.codes.max()) > largest:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"conductance code {int(patch.codes.max())} is above {largest}")
    if patch.positions is None:
        return np.ones((patch.region.rows, patch.region.columns), np.uint32)
    counts = np.zeros(patch.region.cells, np.uint32)
    counts[patch.positions] = 1
    return counts.reshape(patch.region.rows, patch.region.columns)


def _targets(device: Device, patch: Patch, counts: np.ndarray) -> Tensor:
    targets = coding.values(_range(device), patch.codes)
    if patch.positions is None:
        return targets
    spread = torch.zeros(counts.size, dtype=torch.float64)
    spread[torch.from_numpy(patch.positions.astype(np.int64))] = targets
    return spread.reshape(counts.shape)


def check_reads(reads: int) -> None:
    """Refuses more conversions than the device makes."""
    if reads > MAX_READS:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"reads = {reads}: at most {MAX_READS}", MAX_READS)


def read(device: Device, payload: bytes, door: str) -> bytes:
    """READ_CELLS."""
    request = ReadCells.parse(payload)
    region = request.region
    check_region(device, region)
    check_reads(request.reads)
    device.check_reply(9 + region.cells * code_dtype(device.sheet.cells.max_code * request.reads).itemsize)
    readings = region.cells * request.reads
    device.journal.note("setpoint", f"read cells of array {region.array}", door, cells=region.cells, readings=readings)
    device.work(readings * device.sheet.read_time_s)
    seen_s = device.chip.read(region.array, region.coupling, where(region), request.reads)
    return CellCodes(coding.codes(_range(device), seen_s, request.reads)).pack()


def pulse(device: Device, payload: bytes, door: str) -> bytes:
    """PULSE."""
    request = Pulse.parse(payload)
    region, limits = request.region, device.active
    check_region(device, region)
    check_pulse(device, request.amplitude_v, request.width_s)
    counts = np.broadcast_to(np.asarray(request.count, np.int64), (region.rows, region.columns))
    most_j = request.amplitude_v**2 * request.width_s * device.sheet.cells.g_max_s
    device.ledger.check(region, counts, most_j, limits)
    refuse_long([counts])
    device.journal.note(
        "setpoint", f"pulse cells of array {region.array} {'up' if request.up else 'down'}", door,
        pulses=int(counts.sum()), up=float(request.up), amplitude_v=request.amplitude_v, width_s=request.width_s,
    )  # fmt: skip
    delivered, _ = device.chip.pulse(
        region.array, region.coupling, where(region), torch.from_numpy(counts.copy()), request.up,
        request.amplitude_v, request.width_s,
    )  # fmt: skip
    device.work(delivered * (request.width_s + device.sheet.programming.write_time_s))
    return Pulsed(delivered, int(device.ledger.usage(region)[0].max())).pack()


def check_pulse(device: Device, amplitude_v: float, width_s: float) -> None:
    """Refuses pulses beyond the active limits."""
    limits = device.active
    if amplitude_v > limits.max_pulse_v * TOLERANCE:
        words = f"pulse of {amplitude_v:g} V is beyond the active limit {limits.max_pulse_v:g} V"
        raise Refused(ErrorCode.LIMIT, words, 2)
    if width_s > limits.max_pulse_s * TOLERANCE:
        words = f"pulse of {width_s:g} s is beyond the active limit {limits.max_pulse_s:g} s"
        raise Refused(ErrorCode.LIMIT, words, 3)


def refuse_long(counts: Sequence[NDArray[np.int64]]) -> None:
    """A train so long that the device would not be heard of meanwhile; counts of different cells."""
    most, pulses = max(int(each.max()) for each in counts), sum(int(each.sum()) for each in counts)
    if most > PULSES_A_CELL:
        raise Refused(ErrorCode.TOO_LARGE, f"{most} pulses for a cell, at most {PULSES_A_CELL}", PULSES_A_CELL)
    if pulses > PULSES_AT_ONCE:
        raise Refused(ErrorCode.TOO_LARGE, f"{pulses} pulses in all, at most {PULSES_AT_ONCE}", PULSES_AT_ONCE)


def measure(device: Device, payload: bytes, door: str) -> bytes:
    """MEASURE."""
    request = Measure.parse(payload)
    region = request.region
    check_region(device, region)
    check_reads(request.reads)
    peak = float(np.abs(request.volts).max())
    if peak > device.active.max_read_v * TOLERANCE:
        words = f"{peak:g} V across a cell is beyond the active limit {device.active.max_read_v:g} V"
        raise Refused(ErrorCode.LIMIT, words, 1)
    device.check_reply(4 + 8 * len(request.volts) * request.reads * region.cells)
    readings = region.cells * len(request.volts) * request.reads
    device.journal.note("setpoint", "measure cells", door, cells=region.cells, max_read_v=peak, readings=readings)
    volts = torch.from_numpy(request.volts.astype(np.float64))
    device.work(region.cells * len(volts) * request.reads * device.sheet.read_time_s)
    amperes = device.chip.measure(region.array, region.coupling, where(region), volts, request.reads)
    return Currents(amperes.double().cpu().numpy().ravel()).pack()


def usage(device: Device, payload: bytes, door: str) -> bytes:
    """USAGE."""
    region = Region.parse(payload)
    check_region(device, region)
    device.check_reply(8 + 12 * region.cells)
    pulses, energy_j = device.ledger.usage(region)
    return CellUsage(pulses.clip(max=2**32 - 1).astype(np.uint32), energy_j).pack()
