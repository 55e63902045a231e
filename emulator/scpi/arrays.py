"""ARRay: topology, cells, settle, product (SCPI.md section 5)."""

from __future__ import annotations

import math

import numpy as np
from pydantic import ValidationError

from emulator.refused import Refused
from emulator.scpi.common import Handler
from emulator.scpi.link import ScpiLink
from firmware_specs.codes import DIFFERENCE, ErrorCode, Opcode
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Codes,
    Coincide,
    Configure,
    Currents,
    MalformedError,
    Measure,
    Patch,
    Product,
    ProductReply,
    Pulse,
    Pulsed,
    ReadCells,
    Reader,
    Region,
    Settle,
    SettleReply,
    Term,
    Train,
    Update,
    Updated,
    WriteCells,
    Written,
    pack_array,
    parse_topology,
    width_for,
)
from firmware_specs.messages.settle import MAX_NUDGES
from firmware_specs.messages.update import MAX_PHASES, MAX_TERMS
from firmware_specs.scpi import BY_CODE, Parameters, ScpiError, block
from firmware_specs.topology import Topology

MAX_U16 = 0xFFFF
MAX_U32 = 0xFFFFFFFF
TRAIN_RANGES = (
    (0, MAX_U16), (0, 255), (0, 1), (0, MAX_U32), (1, MAX_U32), (0, MAX_U32), (1, MAX_U32), (1, MAX_U32),
)  # fmt: skip
TRAIN_NUMBERS = len(TRAIN_RANGES)


def topology(link: ScpiLink, p: Parameters, query: bool) -> bytes | None:
    """ARRay:TOPology."""
    array = p.integer(0, MAX_U16)
    if query:
        return block(parse_topology(link.verb(Opcode.TOPOLOGY, pack_array(array))).model_dump_json().encode())
    try:
        wanted = Topology.model_validate_json(p.block())
    except ValidationError as error:
        problems = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise ScpiError(-224, f"{ErrorCode.DOES_NOT_FIT.name}: {problems}") from error
    if not wanted.clips_at_one:
        raise ScpiError(-224, f"{ErrorCode.DOES_NOT_FIT.name}: rail: a device has its own, leave it out")
    link.verb(Opcode.CONFIGURE, Configure(array, wanted).pack())
    return None


def _block_on(link: ScpiLink, array: int) -> Topology:
    try:
        return link.device.topology(array)
    except Refused as refused:
        raise ScpiError(BY_CODE[refused.code], f"{refused.code.name}: {refused.text}") from refused


def _place(p: Parameters) -> tuple[int, int, int, int, int, int]:
    """Coupling, plane, row, rows, column, columns."""
    head = p.integer(0, MAX_U16), p.integer(0, 255)
    return *head, p.integer(), p.integer(1), p.integer(), p.integer(1)


def _region(p: Parameters) -> Region:
    return Region(p.integer(0, MAX_U16), *_place(p))


def _codes(link: ScpiLink, p: Parameters, largest: int, *shape: int) -> Codes:
    width = width_for(largest)
    return link.array(p.block(math.prod(shape) * width), f"u{width}", *shape)  # type: ignore[return-value]


def write(link: ScpiLink, p: Parameters, query: bool) -> str:
    """ARRay:CELLs:WRITe."""
    array, verify, tolerance = p.integer(0, MAX_U16), p.integer(0, MAX_U16), p.number()
    patches: list[Patch] = []
    while p.left or not patches:
        region = Region(array, *_place(p))
        codes = p.block()
        positions = None
        if p.at_block:
            positions = link.array(p.block(), "u4", -1)
        count = region.cells if positions is None else positions.size
        width = width_for(link.device.sheet.cells.max_code)
        if len(codes) != count * width:
            raise ScpiError(-161, f"patch {len(patches)}: expected {count * width} bytes, got {len(codes)}")
        shape = (region.rows, region.columns) if positions is None else (count,)
        patches.append(Patch(region, link.array(codes, f"u{width}", *shape), positions))  # type: ignore[arg-type]
    done = Written.parse(link.verb(Opcode.WRITE_CELLS, WriteCells(array, tuple(patches), verify, tolerance).pack()))
    return f"{done.written},{done.pulses},{done.failed}"


def read(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:CELLs:READ?."""
    region = _region(p)
    reads = p.integer(1, MAX_U16) if p.left else 1
    return link.block(CellCodes.parse(link.verb(Opcode.READ_CELLS, ReadCells(region, reads).pack())).codes)


def pulse(link: ScpiLink, p: Parameters, query: bool) -> str:
    """ARRay:CELLs:PULSe."""
    region, up = _region(p), p.word("UP", "DOWN") == "UP"
    amplitude_v, width_s = p.number(), p.number()
    if p.at_block:
        counts = link.array(p.block(2 * region.cells), "u2", region.rows, region.columns)
        request = Pulse(region, up, amplitude_v, width_s, counts)  # type: ignore[arg-type]
    else:
        request = Pulse(region, up, amplitude_v, width_s, p.integer())
    done = Pulsed.parse(link.verb(Opcode.PULSE, request.pack()))
    return f"{done.delivered},{done.most}"


def coincide(link: ScpiLink, p: Parameters, query: bool) -> str:
    """ARRay:CELLs:COINcide."""
    array, amplitude_v, width_s = p.integer(0, MAX_U16), p.number(), p.number()
    numbers = p.numbers()
    if not numbers or len(numbers) % TRAIN_NUMBERS or len(numbers) // TRAIN_NUMBERS > MAX_U16:
        raise ScpiError(-224, "MALFORMED: trains are eight numbers each, coupling to slots, at least one train")
    heads = list(zip(*[iter(numbers)] * TRAIN_NUMBERS, strict=True))
    for head in heads:
        if any(not low <= n <= high for n, (low, high) in zip(head, TRAIN_RANGES, strict=True)):
            raise ScpiError(-224, f"MALFORMED: a train of {head}: (lowest, highest) are {TRAIN_RANGES}")
    data = p.block(sum(slots * (-(-rows // 8) + -(-columns // 8)) for *_, rows, _, columns, slots in heads))
    reader = Reader(data)
    try:
        trains = tuple(Train.read(reader, array, head) for head in heads)
    except MalformedError as error:
        raise ScpiError(-224, f"MALFORMED: {error}") from error
    if not (amplitude_v > 0 and width_s > 0):
        raise ScpiError(-224, "MALFORMED: volts and seconds are above 0")
    request = Coincide(array, amplitude_v, width_s, trains)
    done = Pulsed.parse(link.verb(Opcode.COINCIDE, request.pack()))
    return f"{done.delivered},{done.most}"


def measure(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:CELLs:MEASure?."""
    region, reads = _region(p), p.integer(1, MAX_U16)
    volts = [p.number()]
    while p.left:
        volts.append(p.number())
    request = Measure(region, np.array(volts), reads)
    return link.block(Currents.parse(link.verb(Opcode.MEASURE, request.pack())).amperes)


def usage(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:CELLs:USAGe?."""
    used = CellUsage.parse(link.verb(Opcode.USAGE, _region(p).pack()))
    return link.block(np.stack([used.pulses.astype(np.float64), used.energy_j]))


def settle(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:SETTle?."""
    array, batch, nudges = p.integer(0, MAX_U16), p.integer(1), p.integer(0, MAX_NUDGES)
    reads, time_s, layers = p.integer(1, MAX_U16), p.number(), p.layers()
    on_array, sheet = _block_on(link, array), link.device.sheet
    drive = _codes(link, p, sheet.drive_dac.max_code, batch, math.prod(on_array.drive_shape))
    outputs = math.prod(on_array.nudge_shape)
    nudge = tuple(_codes(link, p, sheet.nudge_dac.max_code, nudges, batch, outputs)) if nudges else ()
    start = _start(link, p, on_array, batch) if p.left else None
    request = Settle(array, drive, nudge, layers, reads, time_s, start)
    reply = SettleReply.parse(link.verb(Opcode.SETTLE, request.pack()))
    columns = (reply.settled, reply.iterations, reply.seconds, reply.residual)
    figures = np.stack([np.asarray(column, np.float64) for column in columns], axis=-1)
    link.statistics = np.concatenate([figures.ravel(), reply.clipped.astype(np.float64)])
    widest = max((codes.dtype.itemsize for codes in reply.states), default=1)
    joined = [codes.ravel().astype(f"u{widest}") for codes in reply.states]
    return link.block(np.concatenate(joined) if joined else np.zeros(0, "u1"))


def _start(link: ScpiLink, p: Parameters, on_array: Topology, batch: int) -> tuple[Codes, ...]:
    sheet = link.device.sheet
    adcs = [sheet.state_adc if layer.clamped else sheet.output_adc for layer in on_array.layers]
    return tuple(
        _codes(link, p, adc.max_code, batch, layer.units) for adc, layer in zip(adcs, on_array.layers, strict=True)
    )


def statistics(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:SETTle:STATistics?."""
    if link.statistics is None:
        raise ScpiError(-221, "no settle on this link yet")
    return link.block(link.statistics)


def product(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """ARRay:PRODuct?."""
    array, coupling, plane = p.integer(0, MAX_U16), p.integer(0, MAX_U16), p.integer(0, DIFFERENCE)
    transposed = p.word("FORWard", "TRANsposed") == "TRANSPOSED"
    reads, batch = p.integer(1, MAX_U16), p.integer(1)
    data = p.block()
    if not data or len(data) % batch:
        raise ScpiError(-161, f"{len(data)} bytes are not for {batch} samples")
    on_array = _block_on(link, array)
    if coupling >= len(on_array.couplings):
        raise ScpiError(-222, f"coupling {coupling}: array {array} has {len(on_array.couplings)}")
    units = on_array.cells(on_array.couplings[coupling])[1 if transposed else 0]
    width = len(data) // batch // units
    if width not in (1, 2, 4) or width * units * batch != len(data):
        raise ScpiError(-161, f"{len(data)} bytes are not for {batch} samples of {units} lines")
    request = Product(array, coupling, plane, transposed, link.array(data, f"u{width}", batch, units), reads)  # type: ignore[arg-type]
    return link.block(ProductReply.parse(link.verb(Opcode.PRODUCT, request.pack())).outputs)


def update(link: ScpiLink, p: Parameters, query: bool) -> str:
    """ARRay:UPDate."""
    array, batch, nudges = p.integer(0, MAX_U16), p.integer(1), p.integer(0, MAX_PHASES - 1)
    time_s, numbers = p.number(), p.layers()
    if not numbers or len(numbers) % 3 or len(numbers) > 3 * MAX_TERMS or min(numbers) < 0:
        raise ScpiError(-224, f"terms are 1 to {MAX_TERMS} times three numbers: first phase, second phase, polarity")
    terms = tuple(Term(a, b, bool(c)) for a, b, c in zip(*[iter(numbers)] * 3, strict=True))
    if max(max(term[:2]) for term in terms) > nudges or max(numbers[2::3]) > 1:
        raise ScpiError(-224, f"terms name phases 0 .. {nudges} and a polarity of 0 or 1")
    on_array, sheet = _block_on(link, array), link.device.sheet
    windows_s = link.array(p.block(8 * batch), "f8", batch).astype(np.float32)
    if not (windows_s >= 0).all():
        raise ScpiError(-224, "windows are 0 s or more")
    drive = _codes(link, p, sheet.drive_dac.max_code, batch, math.prod(on_array.drive_shape))
    outputs = math.prod(on_array.nudge_shape)
    nudge = tuple(_codes(link, p, sheet.nudge_dac.max_code, nudges, batch, outputs)) if nudges else ()
    request = Update(array, drive, nudge, terms, windows_s, time_s)
    done = Updated.parse(link.verb(Opcode.UPDATE, request.pack()))
    return f"{done.clipped},{done.ends},{done.unsettled},{done.most}"


HANDLERS: dict[str, Handler] = {
    "ARRay:TOPology": topology,
    "ARRay:CELLs:WRITe": write,
    "ARRay:CELLs:READ": read,
    "ARRay:CELLs:PULSe": pulse,
    "ARRay:CELLs:COINcide": coincide,
    "ARRay:CELLs:MEASure": measure,
    "ARRay:CELLs:USAGe": usage,
    "ARRay:SETTle": settle,
    "ARRay:SETTle:STATistics": statistics,
    "ARRay:PRODuct": product,
    "ARRay:UPDate": update,
}
