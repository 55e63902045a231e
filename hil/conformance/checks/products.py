"""The numeric contract of PRODUCT (PROTOCOL.md section 7.8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, ErrorCode, Opcode, Parameter
from firmware_specs.messages import Product, ProductReply
from firmware_specs.topology import Dense
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.subject import Subject

OFF = 0.25
"""Share of the largest current within which a line is found: wires, offsets and noise are the chip's own affair."""


def _ready(subject: Subject) -> NDArray[np.float64]:
    """Cells of plane 0 with a pattern that no exchange of rows and columns leaves alone; siemens as read back."""
    subject.needs(Capability.PRODUCT, Capability.WRITE, Capability.READ)
    subject.prepare()
    region = subject.region()
    row, column = np.indices((region.rows, region.columns))
    subject.write({0: np.where((row + 2 * column) % 3 == 0, 0.9, 0.1)})
    low, high = subject.parameters[Parameter.G_MIN_S], subject.parameters[Parameter.G_MAX_S]
    return np.asarray(low + subject.read_levels(region) * (high - low))


def _currents(subject: Subject, volts: NDArray[np.float64], transposed: bool) -> NDArray[np.float64]:
    adc, reads = subject.converters[ConverterId.PRODUCT_ADC], subject.reads(8)
    request = Product(0, 0, 0, transposed, subject.codes(ConverterId.PRODUCT_DAC, volts), reads)
    reply = parsed(ProductReply, subject.verbs.ask(Opcode.PRODUCT, request.pack()), "PRODUCT")
    return np.asarray(adc.low + reply.outputs.astype(np.float64) / reads * adc.lsb)


def _volt(subject: Subject) -> float:
    """A voltage for one line."""
    dac = subject.converters[ConverterId.PRODUCT_DAC]
    return 0.9 * min(dac.high, subject.limits.active.max_read_v)


def _lines(subject: Subject, transposed: bool) -> None:
    """Drives one line in every sample, so that each current is that of one cell, and then all of them together."""
    g_s = _ready(subject)
    cells = g_s.T if transposed else g_s
    volts = _volt(subject) * np.vstack([np.eye(len(cells)), np.ones(len(cells))])
    adc = subject.converters[ConverterId.PRODUCT_ADC]
    expected, found = np.clip(volts @ cells, adc.low, adc.high), _currents(subject, volts, transposed)
    demand(found.shape == expected.shape, f"currents of shape {found.shape}, expected {expected.shape}")
    for name, rows in (("one line", slice(0, -1)), ("all lines", slice(-1, None))):
        off = float(np.median(np.abs(found[rows] - expected[rows]))) / float(np.abs(expected[rows]).max())
        demand(off < OFF, f"{name} driven with {_volt(subject):.3g} V: currents are {off:.2f} of the largest off "
                          f"(first sample {found[rows][0]} A, expected {expected[rows][0]} A)")  # fmt: skip


def _forward(subject: Subject) -> None:
    _lines(subject, False)


def _transposed(subject: Subject) -> None:
    _lines(subject, True)


def _bias(subject: Subject) -> None:
    """A tile of rows and one more: driven forward it takes as many lines, transposed it gives as many."""
    subject.needs(Capability.PRODUCT, Capability.WRITE)
    usual = subject.topology
    if usual.layers[0].units + 1 > subject.fabric.max_rows:
        raise Skipped("the array has no row for a bias")
    topology = usual.model_copy(update={"couplings": (Dense(pre=0, post=1, bias=True), *usual.couplings[1:])})
    with subject.holding(topology):
        subject.prepare()
        subject.write({0: 0.9})
        region = subject.region()
        for transposed, driven, read in ((False, region.rows, region.columns), (True, region.columns, region.rows)):
            found = _currents(subject, np.full((1, driven), _volt(subject) / driven), transposed)
            demand(found.shape == (1, read), f"{found.shape[1]} lines were read, with the bias row {read} are expected")
            weakest = float(found.min() / np.median(found))
            demand(weakest > 0.5, f"of lines alike one carries {weakest:.2f} of the median: {found[0]} A")


def _limit(subject: Subject) -> None:
    _ready(subject)
    dac = subject.converters[ConverterId.PRODUCT_DAC]
    limit = 0.5 * min(dac.high, subject.limits.absolute.max_read_v)
    subject.limit(max_read_v=limit)
    rows = subject.region().rows
    over = np.full((1, rows), min(dac.high, 1.1 * limit + 2 * dac.lsb))
    request = Product(0, 0, 0, False, subject.codes(ConverterId.PRODUCT_DAC, over))
    refusal = subject.verbs.refused(Opcode.PRODUCT, request.pack(), ErrorCode.LIMIT)
    subject.pointed(refusal, 1, "limit 1 (max_read_v)")


def _code_range(subject: Subject) -> None:
    _ready(subject)
    largest = subject.converters[ConverterId.PRODUCT_DAC].max_code
    if largest in (2**8 - 1, 2**16 - 1, 2**32 - 1):
        raise Skipped("every code of its width is a voltage")
    codes = subject.codes(ConverterId.PRODUCT_DAC, np.zeros((1, subject.region().rows))).copy()
    codes[0, -1] = largest + 1
    subject.verbs.refused(Opcode.PRODUCT, Product(0, 0, 0, False, codes).pack(), ErrorCode.OUT_OF_RANGE)


CHECKS = (
    Check("product.forward", "7.8", "driven rows give the currents of their cells at the columns", _forward),
    Check("product.transposed", "7.8", "driven columns give the currents of their cells at the rows", _transposed),
    Check("product.bias", "7.8", "the bias row is driven, and read, like any other", _bias),
    Check("product.limit", "6.6", "line voltages beyond max_read_v are refused", _limit),
    Check("product.code-range", "7.8", "codes above the product DAC's largest are OUT_OF_RANGE", _code_range),
)
