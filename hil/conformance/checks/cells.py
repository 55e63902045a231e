"""Writing, reading and measuring cells (PROTOCOL.md section 7.6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware_specs.codes import Capability, ErrorCode, Opcode, Parameter
from firmware_specs.messages import CellCodes, Currents, Measure, Patch, ReadCells, WriteCells
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.subject import Subject

TOLERANCE = 0.15
"""Share of the conductance range within which a written cell is found: wide, for chips are noisy."""


def _ready(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    subject.prepare()


def _pattern(subject: Subject) -> np.ndarray:
    region = subject.region()
    return np.linspace(0.1, 0.9, region.cells).reshape(region.rows, region.columns)


def _write_read(subject: Subject) -> None:
    _ready(subject)
    wanted = _pattern(subject)
    written = subject.write({0: wanted})
    demand(written.written == wanted.size, f"{written.written} cells written, expected {wanted.size}")
    off = np.abs(subject.read_levels(subject.region()) - wanted)
    # the median: a chip may have stuck cells, a wrong order of rows and columns moves most of them
    demand(float(np.median(off)) < TOLERANCE, f"median deviation {np.median(off):.3f} of the range after a write")


def _planes(subject: Subject) -> None:
    subject.needs(Capability.DIFFERENTIAL)
    _ready(subject)
    subject.write({0: 0.8, 1: 0.2})
    levels = [float(np.median(subject.read_levels(subject.region(plane)))) for plane in (0, 1)]
    demand(levels[0] - levels[1] > 0.3, f"planes written with 0.8 and 0.2 read {levels[0]:.2f} and {levels[1]:.2f}")


def _part(subject: Subject) -> None:
    _ready(subject)
    subject.write({0: 0.2})
    inner = replace(subject.region(), row=1, rows=1)
    patch = Patch(inner, subject.cell_codes(np.full((1, inner.columns), 0.8)))
    subject.verbs.ask(Opcode.WRITE_CELLS, WriteCells(0, (patch,)).pack())
    levels = np.median(subject.read_levels(subject.region()), axis=1)
    demand(bool(levels[1] > 0.5 and max(np.delete(levels, 1)) < 0.5), f"row 1 was written with 0.8, rows read {levels}")


def _positions(subject: Subject) -> None:
    _ready(subject)
    subject.write({0: 0.2})
    region = subject.region()
    at = np.array([0, region.columns + 1, region.cells - 1], dtype=np.uint32)
    patch = Patch(region, subject.cell_codes(np.full(at.size, 0.8)), at)
    subject.verbs.ask(Opcode.WRITE_CELLS, WriteCells(0, (patch,)).pack())
    levels = subject.read_levels(region).ravel()
    demand(bool(np.median(levels[at]) > 0.5), f"listed cells read {levels[at]}, written with 0.8")
    demand(bool(np.median(np.delete(levels, at)) < 0.5), "cells that were not listed changed")


def _atomic(subject: Subject) -> None:
    _ready(subject)
    subject.write({0: 0.2})
    good = Patch(subject.region(), subject.cell_codes(np.full((subject.region().rows, subject.region().columns), 0.8)))
    bad = Patch(replace(subject.region(), row=10_000), good.codes)
    subject.verbs.refused(Opcode.WRITE_CELLS, WriteCells(0, (good, bad)).pack(), ErrorCode.OUT_OF_RANGE)
    level = float(np.median(subject.read_levels(subject.region())))
    demand(level < 0.5, f"a refused write was done in part: cells read {level:.2f}, written before with 0.2")


def _code_range(subject: Subject) -> None:
    _ready(subject)
    if subject.cell_code_max in (2**8 - 1, 2**16 - 1, 2**32 - 1):
        raise Skipped("every code of its width is a conductance")
    codes = subject.cell_codes(_pattern(subject)).copy()
    codes[0, 0] = subject.cell_code_max + 1
    request = WriteCells(0, (Patch(subject.region(), codes),))
    subject.verbs.refused(Opcode.WRITE_CELLS, request.pack(), ErrorCode.OUT_OF_RANGE)


def _region_range(subject: Subject) -> None:
    _ready(subject)
    region = subject.region()
    beyond = (
        replace(region, rows=region.rows + 1),
        replace(region, column=1),
        replace(region, plane=9),
        replace(region, coupling=99),
        replace(region, row=2**32 - 1),  # row + rows passes 2^32, and would come out small
        replace(region, column=2**32 - 1),
    )
    for outside in beyond:
        subject.verbs.refused(Opcode.READ_CELLS, ReadCells(outside).pack(), ErrorCode.OUT_OF_RANGE)
        patch = Patch(outside, subject.cell_codes(np.zeros((outside.rows, outside.columns))))
        subject.verbs.refused(Opcode.WRITE_CELLS, WriteCells(0, (patch,)).pack(), ErrorCode.OUT_OF_RANGE)


def _sum_of_reads(subject: Subject) -> None:
    _ready(subject)
    if subject.reads(4) < 4:
        raise Skipped("the device reads once")
    subject.write({0: 0.5})
    payloads = [subject.verbs.ask(Opcode.READ_CELLS, ReadCells(subject.region(), n).pack()) for n in (1, 4)]
    one, four = (parsed(CellCodes, p, "READ_CELLS").codes.astype(float) for p in payloads)
    ratio = float(np.median(four) / np.median(one))
    demand(3.0 < ratio < 5.0, f"4 reads sum to {ratio:.2f} times one read")


def _measure(subject: Subject) -> None:
    subject.needs(Capability.MEASURE)
    _ready(subject)
    region = subject.region()
    row, column = np.indices((region.rows, region.columns))
    levels = np.where((row + 2 * column) % 3 == 0, 0.9, 0.3)
    subject.write({0: levels})
    volts = subject.limits.absolute.max_read_v * np.array([-1.0, 0.5, 1.0])
    reads = subject.reads(4)
    reply = parsed(Currents, subject.verbs.ask(Opcode.MEASURE, Measure(region, volts, reads).pack()), "MEASURE")
    demand(reply.amperes.size == 3 * reads * region.cells, f"{reply.amperes.size} currents came")
    currents = reply.amperes.reshape(3, reads, region.rows, region.columns)
    low, high = subject.parameters[Parameter.G_MIN_S], subject.parameters[Parameter.G_MAX_S]
    expected = volts[:, None, None, None] * (low + levels * (high - low)) * np.ones((1, reads, 1, 1))
    # a chip may have stuck cells; a wrong order of volts, reads, rows or columns moves a third of them at least
    off = float(np.mean(np.abs(currents / expected - 1) > 0.5))
    demand(off < 0.25, f"{off:.2f} of the currents are not what volts, reads, rows and columns in this order give")


CHECKS = (
    Check("cells.write-read", "7.6", "cells written with a pattern read back as it", _write_read),
    Check("cells.planes", "7.6", "the two planes are independent", _planes),
    Check("cells.part", "7.6", "a patch writes its region and nothing else", _part),
    Check("cells.positions", "7.6", "a patch of listed positions writes these and nothing else", _positions),
    Check("cells.atomic", "7.6", "a write with one bad patch writes nothing", _atomic),
    Check("cells.code-range", "7.6", "a code above the largest is OUT_OF_RANGE", _code_range),
    Check("cells.region-range", "7.6", "regions that do not exist are OUT_OF_RANGE", _region_range),
    Check("cells.sum", "7.6", "several reads come back summed", _sum_of_reads),
    Check("cells.measure", "7.6", "MEASURE gives the currents that the written conductance carries", _measure),
)
