"""PRODUCT (PROTOCOL.md 7.8) on devices that multiply: one tile, one plane, every line converted."""

from __future__ import annotations

from emulator import coding
from emulator.device import Device
from emulator.refused import Refused
from emulator.verbs.cells import check_reads
from firmware_specs.codes import DIFFERENCE, ErrorCode
from firmware_specs.messages import Product, ProductReply, code_dtype


def product(device: Device, payload: bytes, door: str) -> bytes:
    """PRODUCT."""
    request, path = Product.parse(payload), device.sheet.product
    assert path is not None  # noqa: S101 - the capability says so
    block = device.topology(request.array)
    if request.coupling >= len(block.couplings):
        raise Refused(ErrorCode.OUT_OF_RANGE, f"coupling {request.coupling}: there are {len(block.couplings)}", 2)
    rows, columns = block.cells(block.couplings[request.coupling])
    if request.plane == DIFFERENCE:
        raise Refused(ErrorCode.UNSUPPORTED, "planes are converted one by one: ask for 0, then 1", request.plane)
    if request.plane > 1:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"plane {request.plane}: there are 2", request.plane)
    check_reads(request.reads)
    driven, codes = columns if request.transposed else rows, request.inputs
    if codes.shape[1] != driven:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{codes.shape[1]} lines a sample, {driven} are driven")
    if codes.dtype != code_dtype(path.line_dac.max_code) or (codes.size and int(codes.max()) > path.line_dac.max_code):
        raise Refused(ErrorCode.OUT_OF_RANGE, f"codes of the product DAC go up to {path.line_dac.max_code}")
    volts = coding.values(path.line_dac, codes)
    peak = float(volts.abs().max())
    # half a code: 0 V and the limit itself need not be on the grid
    if peak > device.active.max_read_v + path.line_dac.lsb / 2:
        raise Refused(ErrorCode.LIMIT, f"{peak:g} V on a line is beyond {device.active.max_read_v:g} V", 1)
    lines = rows if request.transposed else columns
    device.check_reply(9 + len(codes) * lines * code_dtype(path.line_adc.max_code * request.reads).itemsize)
    device.journal.note("setpoint", f"product of array {request.array}", door, samples=len(codes), max_read_v=peak)
    device.work(len(codes) * request.reads * device.sheet.read_time_s)
    amps = device.chip.line_product(request.array, volts, request.transposed, request.plane, request.reads)
    return ProductReply(coding.codes(path.line_adc, amps, request.reads)).pack()
