"""UPDATE (PROTOCOL.md 7.10): the chip moves its cells by the contrast of phases it settles and holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from emulator.device import Device
from emulator.refused import Refused
from emulator.resistive import FloatingNodeError
from emulator.verbs.arrays import check_limits, check_time, converted, peaks
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import Region, Update
from firmware_specs.topology import Dense, Topology


def update(device: Device, payload: bytes, door: str) -> bytes:
    """UPDATE."""
    request, law, sheet = Update.parse(payload), device.sheet.update, device.sheet
    assert law is not None  # noqa: S101 - the capability says so
    block = device.topology(request.array)
    if not all(isinstance(coupling, Dense) for coupling in block.couplings):
        raise Refused(ErrorCode.OUT_OF_RANGE, f"array {request.array}: only dense couplings are updated")
    if len(request.drive) > law.batch:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{len(request.drive)} samples, at most {law.batch} an update", law.batch)
    longest_s = float(request.windows_s.max())
    if longest_s > np.float32(law.window_s):
        raise Refused(ErrorCode.OUT_OF_RANGE, f"a window of {longest_s:g} s, at most {law.window_s:g} s")
    check_time(request.time_s)
    drive = converted("drive", sheet.drive_dac, request.drive, math.prod(block.drive_shape))
    nudges = [converted("nudge", sheet.nudge_dac, c, math.prod(block.nudge_shape)) for c in request.nudges]
    check_limits(device, drive, nudges)
    _check_budgets(device, request.array, block)
    drive = drive.reshape(-1, *block.drive_shape)
    nudges = [values.reshape(-1, *block.nudge_shape) for values in nudges]
    device.journal.note("setpoint", f"update array {request.array}", door, **peaks(device, drive, nudges))
    windows_s = torch.from_numpy(request.windows_s.astype(np.float64))
    before_s = device.chip.conditions.clock_s
    try:
        done = device.chip.update(request.array, drive, nudges, request.terms, windows_s, request.time_s or None)
    except FloatingNodeError as error:
        raise Refused(ErrorCode.FLOATING, f"array {request.array}: {error}", error.nodes[0][0]) from error
    except FloatingPointError as error:
        raise Refused(ErrorCode.INTERNAL, f"array {request.array}: {error}") from error
    device.work(device.chip.conditions.clock_s - before_s)
    most = max(int(device.ledger.usage(region)[0].max()) for region in _planes(device, request.array, block))
    return replace(done, most=min(most, 2**32 - 1)).pack()


def _planes(device: Device, array: int, block: Topology) -> list[Region]:
    """Every cell of an array."""
    shapes = [block.cells(coupling) for coupling in block.couplings]
    planes = range(device.sheet.cells.planes)
    return [
        Region(array, n, plane, 0, rows, 0, columns) for n, (rows, columns) in enumerate(shapes) for plane in planes
    ]


def _check_budgets(device: Device, array: int, block: Topology) -> None:
    for region in _planes(device, array, block):
        each = np.ones((region.rows, region.columns), np.int64)
        device.ledger.check(region, each, device.sheet.programming.write_energy_j, device.active)
