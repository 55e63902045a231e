"""Blocks on arrays: place, settle, save and restore (PROTOCOL.md 7.5, 7.7 and 7.9)."""

from __future__ import annotations

import json
import math

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from emulator import coding
from emulator.converters import from_codes
from emulator.device import Device
from emulator.readout import Reading
from emulator.refused import Refused
from emulator.resistive import FloatingNodeError
from emulator.verbs.cells import check_reads
from firmware_specs.codes import SOURCE_CURRENTS, ErrorCode, State
from firmware_specs.datasheet.converters import Adc, Dac
from firmware_specs.messages import (
    Codes,
    Configure,
    Configured,
    ContradictionError,
    MalformedError,
    Settle,
    SettleReply,
    code_dtype,
    pack_topology,
    parse_array,
)
from firmware_specs.topology import Conv, Topology

MOST_SETTLE_S = 3600.0
"""Longest wait of one phase."""


def configure(device: Device, payload: bytes, door: str) -> bytes:
    """CONFIGURE."""
    try:
        request = Configure.parse(payload)
    except ContradictionError as error:
        device.check_array(int.from_bytes(payload[:2], "little"))
        raise Refused(ErrorCode.DOES_NOT_FIT, str(error)) from error
    device.check_array(request.array)
    _check_fits(device, request.topology)
    place(device, request.array, request.topology)
    device.journal.note("setpoint", f"topology of array {request.array}", door)
    return Configured(tuple(request.topology.cells(c) for c in request.topology.couplings)).pack()


def place(device: Device, array: int, topology: Topology) -> None:
    """Puts a block on an array; cells and counts stay where the topology does."""
    device.ledger.place(array, topology)
    device.configured.add(array)


def _check_fits(device: Device, topology: Topology) -> None:
    fabric = device.sheet.fabric
    reason = ""
    if topology.substrate != fabric.substrate:
        reason = f"substrate {topology.substrate}, this device is {fabric.substrate}"
    elif len(topology.layers) > fabric.max_layers:
        reason = f"{len(topology.layers)} layers, an array holds {fabric.max_layers}"
    elif any(layer.units > fabric.max_units for layer in topology.layers):
        reason = f"a layer has more than {fabric.max_units} units"
    elif fabric.layers and tuple(layer.units for layer in topology.layers) != fabric.layers:
        reason = f"layers are wired as {fabric.layers}"
    for number, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        if coupling.kind not in fabric.couplings or (
            isinstance(coupling, Conv) and coupling.pool and not fabric.pooling
        ):
            reason = reason or f"coupling {number}: {coupling.kind} or pooling is not there"
        if rows > fabric.max_rows or columns > fabric.max_columns:
            reason = reason or f"coupling {number}: {rows} x {columns}, most {fabric.max_rows} x {fabric.max_columns}"
    if reason:
        raise Refused(ErrorCode.DOES_NOT_FIT, reason)


def topology(device: Device, payload: bytes, door: str) -> bytes:
    """TOPOLOGY."""
    return pack_topology(device.topology(parse_array(payload)))


def settle(device: Device, payload: bytes, door: str) -> bytes:
    """SETTLE."""
    request = Settle.parse(payload)
    _check_able(device, request)
    block = device.topology(request.array)
    _check_settle(request, block)
    drive = converted("drive", device.sheet.drive_dac, request.drive, math.prod(block.drive_shape))
    units = math.prod(block.nudge_shape)
    nudges = [converted("nudge", device.sheet.nudge_dac, codes, units) for codes in request.nudges]
    start = None if request.start is None else _start(device, block, request.start)
    check_limits(device, drive, nudges)
    device.check_reply(_reply_size(device, block, request))
    drive = drive.reshape(-1, *block.drive_shape)
    nudges = [values.reshape(-1, *block.nudge_shape) for values in nudges]
    device.journal.note("setpoint", f"settle array {request.array}", door, **peaks(device, drive, nudges))
    try:
        time_s, layers = request.time_s or None, request.layers
        readings = device.chip.settle(request.array, drive, nudges, start, request.reads, time_s, layers)
    except FloatingNodeError as error:
        raise Refused(ErrorCode.FLOATING, f"array {request.array}: {error}", error.nodes[0][0]) from error
    device.work(_stated_s(device, request))
    if not all(bool(state.isfinite().all()) for reading in readings for state in reading.states_v):
        raise Refused(ErrorCode.INTERNAL, f"array {request.array}: the states of this block have no finite value")
    return _settle_reply(device, block, request, readings).pack()


def _stated_s(device: Device, request: Settle) -> float:
    """How long a settle takes by the datasheet (9.2)."""
    sheet = device.sheet
    phase_s = (request.time_s or sheet.settle.time_s) + request.reads * sheet.read_time_s
    return len(request.drive) * (1 + len(request.nudges)) * phase_s


def _check_able(device: Device, request: Settle) -> None:
    if SOURCE_CURRENTS in request.layers and device.sheet.nodes.ammeter is None:
        raise Refused(ErrorCode.UNSUPPORTED, "layer -1: this device does not measure source currents", 20)


def _reply_size(device: Device, block: Topology, request: Settle) -> int:
    """Bytes of the reply (7.7)."""
    rows = (1 + len(request.nudges)) * len(request.drive)
    size = 6 + 13 * rows + 4 * len(request.drive)
    for layer in request.layers:
        units = math.prod(block.drive_shape if layer == SOURCE_CURRENTS else block.shape(layer))
        largest = request.reads * _converter_of(device, block, layer).max_code
        size += 5 + rows * units * code_dtype(largest).itemsize
    return size


def _check_settle(request: Settle, block: Topology) -> None:
    layers = len(block.layers)
    for layer in request.layers:
        if layer >= layers:
            raise Refused(ErrorCode.OUT_OF_RANGE, f"layer {layer}: there are {layers}, from 0", layer)
    check_time(request.time_s)
    check_reads(request.reads)


def check_time(time_s: float) -> None:
    """Refuses a wait that is too long."""
    if time_s > MOST_SETTLE_S:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"time_s = {time_s:g}: at most {MOST_SETTLE_S:g} s")


def check_limits(device: Device, drive: Tensor, nudges: list[Tensor]) -> None:
    """Refuses drives and nudges beyond the active limits."""
    dac, limits = device.sheet.drive_dac, device.active
    most, number = (limits.max_drive_a, 0) if isinstance(dac, Dac) else (limits.max_source_v, 7)
    _check_peak("drive", drive, most, number)
    for values in nudges:
        _check_peak("nudge", values, limits.max_drive_a, 0)


def converted(what: str, converter: coding.Range, codes: Codes, units: int) -> Tensor:
    """SI values of a block of so many units a sample; refused where its codes are not the converter's."""
    if codes.shape[1] != units:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{what}: {codes.shape[1]} units a sample, expected {units}")
    if codes.dtype.itemsize != code_dtype(converter.max_code).itemsize:
        expected = code_dtype(converter.max_code).itemsize
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{what}: codes of {codes.dtype.itemsize} bytes, expected {expected}")
    if codes.size and int(codes.max()) > converter.max_code:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{what}: code {int(codes.max())} is above {converter.max_code}")
    return coding.values(converter, codes)


def _check_peak(what: str, values: Tensor, most: float, number: int) -> None:
    peak = float(values.abs().max()) if values.numel() else 0.0
    if peak > most * (1 + 1e-9):
        raise Refused(ErrorCode.LIMIT, f"{what} of {peak:g} is beyond the active limit {most:g}", number)


def peaks(device: Device, drive: Tensor, nudges: list[Tensor]) -> dict[str, float]:
    """The largest of what is driven, for the journal."""
    unit = "v" if device.sheet.resistive else "a"
    nudge = max((float(n.abs().max()) for n in nudges), default=0.0)
    return {
        "samples": drive.shape[0],
        "nudges": len(nudges),
        f"max_drive_{unit}": float(drive.abs().max()),
        "max_nudge_a": nudge,
    }


def _start(device: Device, block: Topology, blocks: tuple[Codes, ...]) -> list[Tensor]:
    if len(blocks) != len(block.layers):
        raise Refused(ErrorCode.OUT_OF_RANGE, f"start states of {len(blocks)} layers, expected {len(block.layers)}")
    states = []
    for number, codes in enumerate(blocks):
        shape = block.shape(number)
        adc = _adc(device, block, number)
        values = converted(f"start of layer {number}", adc, codes, math.prod(shape))
        if not adc.ideal:  # the very bits that the value door read, in the chip's own arithmetic
            values = from_codes(adc, torch.from_numpy(codes.astype(np.int64)), device.chip.dtype)
        states.append(values.reshape(-1, *shape).to(device.chip.device, device.chip.dtype))
    return states


def _adc(device: Device, block: Topology, layer: int) -> Adc:
    return device.sheet.state_adc if block.layers[layer].clamped else device.sheet.output_adc


def _settle_reply(device: Device, block: Topology, request: Settle, readings: tuple[Reading, ...]) -> SettleReply:
    batch, states = request.drive.shape[0], []
    for layer in request.layers:
        converter = _converter_of(device, block, layer)
        value = torch.stack([_of_layer(reading, layer).reshape(batch, -1) for reading in readings])
        states.append(coding.codes(converter, value, request.reads))
    ends = (request.drive == 0) | (request.drive == device.sheet.drive_dac.max_code)
    return SettleReply(
        settled=torch.stack([r.settled for r in readings]).cpu().numpy(),
        iterations=torch.stack([r.iterations for r in readings]).cpu().numpy().astype(np.uint32),
        seconds=np.repeat(np.array([[r.time_s] for r in readings], np.float32), batch, axis=1),
        residual=torch.stack([r.residual for r in readings]).cpu().numpy().astype(np.float32),
        clipped=ends.sum(1).astype(np.uint32),
        states=tuple(states),
    )


def _converter_of(device: Device, block: Topology, layer: int) -> coding.Range:
    ammeter = device.sheet.nodes.ammeter
    return ammeter if layer == SOURCE_CURRENTS and ammeter is not None else _adc(device, block, layer)


def _of_layer(reading: Reading, layer: int) -> Tensor:
    currents = reading.source_currents_a
    return currents if layer == SOURCE_CURRENTS and currents is not None else reading.states_v[layer]


def snapshot(device: Device, payload: bytes, door: str) -> bytes:
    """SNAPSHOT: the chip's tensors as safetensors, topologies in the metadata."""
    placed = {str(n): a.topology.model_dump_json() for n, a in device.chip.arrays.items()}
    tensors = {name: tensor.contiguous() for name, tensor in device.chip.state_dict().items()}
    return safetensors.torch.save(tensors, {"topologies": json.dumps(placed)})


def restore(device: Device, payload: bytes, door: str) -> bytes:
    """RESTORE."""
    if device.outputs.state is not State.SAFE:
        raise Refused(ErrorCode.CONFLICT, "restore in SAFE only: DISARM or CLEAR first", device.outputs.state)
    try:
        tensors = safetensors.torch.load(payload)
        length = int.from_bytes(payload[:8], "little")
        told = json.loads(json.loads(payload[8 : 8 + length])["__metadata__"]["topologies"])
        placed = {int(number): Topology.model_validate_json(text) for number, text in told.items()}
        if not all(bool(t.isfinite().all()) for t in tensors.values()):
            raise ValueError("numbers in it are not finite")
        for number, topology in placed.items():
            device.check_array(number)
            _check_fits(device, topology)
        for number, topology in placed.items():
            place(device, number, topology)
        device.chip.load_state_dict(tensors)
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError, RuntimeError) as error:
        raise MalformedError(0, f"no snapshot of this device: {error}") from error
    return b""
