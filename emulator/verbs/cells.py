"""Cells: write, read, measure, count (PROTOCOL.md 7.6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emulator import coding
from emulator.device import Device
from emulator.refused import Refused
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Currents,
    Measure,
    Patch,
    ReadCells,
    Region,
    WriteCells,
    Written,
    code_dtype,
)


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
    planes = 1 if device.sheet.resistive else 2
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
    if request.verify:
        raise Refused(ErrorCode.UNSUPPORTED, "write-verify: this device writes once (verify = 0)", 22)
    counts = [_counts(device, patch) for patch in request.patches]
    for patch, count in zip(request.patches, counts, strict=True):
        device.ledger.check(patch.region, count, np.zeros(count.shape), device.active)
    planes = 1 if device.sheet.resistive else 2
    shapes = [(planes, *block.cells(coupling)) for coupling in block.couplings]
    targets = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    masks = [torch.zeros(shape, dtype=torch.bool) for shape in shapes]
    for patch, count in zip(request.patches, counts, strict=True):
        place = (patch.region.plane, *patch.region.slices)
        targets[patch.region.coupling][place] = _targets(device, patch, count)
        masks[patch.region.coupling][place] |= torch.from_numpy(count > 0)
    device.chip.program(request.array, targets, masks)
    for patch, count in zip(request.patches, counts, strict=True):
        device.ledger.charge(patch.region, count, np.zeros(count.shape))
    written = sum(int(count.sum()) for count in counts)
    device.journal.note("setpoint", f"write cells of array {request.array}", door, cells=written)
    return Written(written, written, 0).pack()


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


def _conductances(device: Device, region: Region) -> Tensor:
    check_region(device, region)
    values = device.chip.conductances_s(region.array)[region.coupling]
    return values[(region.plane, *region.slices)]


def read(device: Device, payload: bytes, door: str) -> bytes:
    """READ_CELLS."""
    request = ReadCells.parse(payload)
    values = _conductances(device, request.region)
    if request.reads != 1:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"reads = {request.reads}: this device reads once", 1)
    return CellCodes(coding.codes(_range(device), values)).pack()


def measure(device: Device, payload: bytes, door: str) -> bytes:
    """MEASURE: ohmic cells, `I = G V`."""
    request = Measure.parse(payload)
    values = _conductances(device, request.region).double().cpu()
    peak = float(np.abs(request.volts).max())
    if peak > device.active.max_read_v * (1 + 1e-9):
        words = f"{peak:g} V across a cell is beyond the active limit {device.active.max_read_v:g} V"
        raise Refused(ErrorCode.LIMIT, words, 1)
    device.journal.note("setpoint", "measure cells", door, cells=request.region.cells, max_read_v=peak)
    volts = torch.from_numpy(np.repeat(request.volts, request.reads))
    return Currents((volts.reshape(-1, 1, 1) * values).reshape(-1).numpy()).pack()


def usage(device: Device, payload: bytes, door: str) -> bytes:
    """USAGE."""
    region = Region.parse(payload)
    check_region(device, region)
    return CellUsage(*device.ledger.usage(region)).pack()
