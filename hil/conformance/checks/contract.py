"""The numbers of a settle: weights, bias, slopes and rails at their size (PROTOCOL.md 7.5).

Sizes are compared, not single readings: the least-squares share of what was expected averages a chip's noise away, and
leaves its systematic errors, of which `NEAR` allows a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, Opcode, Parameter
from firmware_specs.messages import Configure, Configured, Settle, pack_array, pack_topology
from firmware_specs.topology import Dense, Layer, Topology
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand, parsed
from hil.conformance.coupled import NEAR, weighed, weight_unit
from hil.conformance.subject import Subject

Array = NDArray[np.float64]
READS = 16
REPEATS = 8
"""Settles of one block, from which comes what noise leaves unknown."""
SWEEPS = 200
LEAST = 1e-12
"""State units that no device shows."""
CROWD = 32
"""Most units of the first layer where a linear one is to reach its rail."""


def _needs(subject: Subject) -> None:
    subject.needs(Capability.SETTLE, Capability.WRITE)
    if subject.fabric.resistive:
        raise Skipped("the substrate is resistive")


def _block(
    subject: Subject, *, bias: bool = False, slopes: tuple[float, float] = (1.0, 1.0), first: int = 0
) -> Topology:
    """Two dense layers, the last one linear; their sizes are those of the small block unless `first` says otherwise."""
    sizes = [layer.units for layer in subject.topology.layers]
    if len(sizes) != 2:
        raise Skipped("the check is written for two layers")
    if first and not subject.fabric.layers:
        sizes[0] = first
    if sizes[0] + bias > subject.fabric.max_rows:
        raise Skipped("the array has no row for a bias")
    layers = (Layer(shape=(sizes[0],), slope=slopes[0]), Layer(shape=(sizes[1],), clamped=False, slope=slopes[1]))
    return Topology(layers=layers, couplings=(Dense(pre=0, post=1, bias=bias),))


def _place(subject: Subject, topology: Topology) -> Configured:
    reply = subject.verbs.ask(Opcode.CONFIGURE, Configure(0, topology).pack())
    subject.arm()
    return parsed(Configured, reply, "CONFIGURE")


def _weigh(subject: Subject, weights: Array) -> Array:
    """Writes weights, (rows, columns), into the first pair, and gives what stands there: as read, if the device can.

    Of several pairs all are in what stands there: cells that were written with the lowest level miss it by as much.
    """
    planes = weighed(subject, np.clip(weights / weight_unit(subject), -1, 1))
    subject.write(planes)
    if subject.planes > 1:
        return sum((s * _pair(subject, planes, n) for n, s in enumerate(_significances(subject))), np.zeros(()))
    lowest = subject.parameters[Parameter.G_MIN_S] * subject.parameters[Parameter.TRANSIMPEDANCE_OHM]
    return np.asarray(_stands(subject, planes, 0)) * weight_unit(subject) + lowest


def _pair(subject: Subject, planes: Mapping[int, float | Array], pair: int) -> Array:
    """What a pair of cells stands at as a weight of its own, (rows, columns)."""
    plus, minus = (_stands(subject, planes, plane) for plane in (2 * pair, 2 * pair + 1))
    return np.asarray(plus - minus) * weight_unit(subject)


def _stands(subject: Subject, planes: Mapping[int, float | Array], plane: int) -> float | Array:
    """Levels of a plane: as read, else as written."""
    readable = Capability.READ in subject.identity.capabilities
    return subject.read_levels(subject.region(plane)) if readable else planes[plane]


def _significances(subject: Subject) -> Array:
    """What every pair of cells counts in a weight."""
    ratio = subject.parameters.get(Parameter.PAIR_SIGNIFICANCE, 1.0)
    return np.asarray(ratio ** np.arange(subject.pairs))


def _states(subject: Subject, drive: Array, *nudges: Array) -> list[Array]:
    """States of both layers, (phases, batch, units)."""
    reads = subject.reads(READS)
    request = Settle(0, subject.drive_codes(drive), tuple(subject.nudge_codes(n) for n in nudges), (0, 1), reads)
    reply = subject.settle(request)
    return [subject.states(reply, i, i, reads) for i in range(2)]


def _relaxed(topology: Topology, weights: Array, drive: Array, line: float = 1.0) -> Array:
    """Outputs of the two layers by the text: z forward and backward through the same weights, bias an input of 1.

    In units of the rail of clamped neurons, in which the bias `line` is one state unit.
    """
    rows = topology.layers[0].units
    first, last = np.zeros_like(drive), np.zeros((len(drive), weights.shape[1]))
    bias = line * weights[rows:].sum(axis=0)
    for _ in range(SWEEPS):
        first = np.clip(topology.layers[0].slope * (drive + last @ weights[:rows].T), 0, 1)
        last = first @ weights[:rows] + bias
    return last


def _share(found: Array, expected: Array) -> float:
    """Least-squares share of what was expected in what was found."""
    return float((found * expected).sum() / (expected**2).sum())


def _demand_size(what: str, found: Array, expected: Array) -> None:
    share = _share(found, expected)
    demand(abs(share - 1) < NEAR, f"{what} have {share:.2f} times the size of the text: {found}, expected {expected}")


def _weights(subject: Subject) -> None:
    _needs(subject)
    topology = _block(subject)
    with subject.holding(topology):
        _place(subject, topology)
        rows, columns = topology.cells(topology.couplings[0])
        row, column = np.indices((rows, columns))
        signs = np.where((row + 2 * column) % 3 == 0, 1.0, -0.5 if subject.planes > 1 else 0.4)
        weights = _weigh(subject, signs * min(0.6 / np.sqrt(rows * columns), 0.9 * weight_unit(subject)))
        drive = np.array([[0.9 if u == s else 0.3 for u in range(rows)] for s in range(rows)])
        _demand_size("outputs", _states(subject, drive)[1][0], _relaxed(topology, weights, drive))


def _pairs(subject: Subject) -> str:
    _needs(subject)
    if subject.pairs < 2:
        raise Skipped("a weight has one pair of cells")
    topology, untold = _block(subject), []
    with subject.holding(topology):
        _place(subject, topology)
        subject.write_all(0.0)
        for pair, significance in enumerate(_significances(subject)):
            share, doubt = _odd_share(subject, topology, pair, float(significance))
            told = doubt <= NEAR / 2
            untold += [] if told else [f"{pair} ({significance:.2g})"]
            seen = f"outputs of pair {pair} have {share:.2f} times the size of the text, known to {doubt:.2f}"
            demand(abs(share - 1) < (NEAR if told else 3 * doubt), seen)
    words = f"what noise and steps of the device leave of its outputs does not tell pairs {', '.join(untold)}"
    if len(untold) >= subject.pairs - 1:
        raise Skipped(words)
    return words if untold else ""


def _odd_share(subject: Subject, topology: Topology, pair: int, significance: float) -> tuple[float, float]:
    """Size of what turns its sign with the weights of one pair over that of the text, and what it is known to.

    The first layer is the same under either sign, the last one's is opposite: offsets, and what the cells of other
    pairs were written off by, cancel. What is not known is three standard errors of the repeats, a step of the ADC,
    and what the device lets states move by when it says that they have settled.
    """
    rows, columns = topology.cells(topology.couplings[0])
    drive = np.array([[0.9 if u == s else 0.3 for u in range(rows)] for s in range(rows)])
    row, column = np.indices((rows, columns))
    signs = np.where((row + 2 * column) % 3 == 0, 1.0, -0.5)
    level = min(0.6 / np.sqrt(rows * columns) / weight_unit(subject) / max(significance, 1e-3), 0.9)
    outputs, wanted = [], []
    for sign in (1, -1):
        planes = weighed(subject, sign * signs * level, pair)
        planes = {plane: planes[plane] for plane in (2 * pair, 2 * pair + 1)}
        subject.write(planes)
        wanted.append(_relaxed(topology, significance * _pair(subject, planes, pair), drive))
        outputs.append(np.stack([_states(subject, drive)[1][0] for _ in range(REPEATS)]))
    subject.write(dict.fromkeys(planes, 0.0))
    expected = (wanted[0] - wanted[1]) / 2
    size = float(np.sqrt((expected**2).mean()))
    step = subject.converters[ConverterId.OUTPUT_ADC].lsb / subject.state_unit_v
    step += subject.parameters.get(Parameter.SETTLE_TOLERANCE, 0.0) / subject.rail
    if size < LEAST:
        return 0.0, float("inf")
    shares = np.array([_share(found, expected) for found in (outputs[0] - outputs[1]) / 2])
    return float(shares.mean()), float(3 * shares.std(ddof=1) / np.sqrt(REPEATS) + step / size)


def _bias(subject: Subject) -> None:
    _needs(subject)
    topology = _block(subject, bias=True)
    with subject.holding(topology):
        rows, columns = topology.cells(topology.couplings[0])
        sizes = _place(subject, topology).cells
        demand(sizes == ((rows, columns),), f"with a bias row CONFIGURE says {sizes}, expected {rows} x {columns}")
        wanted = np.zeros((rows, columns))
        wanted[-1] = np.linspace(0.3, 0.6, columns) * weight_unit(subject)
        weights = _weigh(subject, wanted)
        drive = np.zeros((2, rows - 1))
        expected = _relaxed(topology, weights, drive, 1 / subject.rail)
        _demand_size("outputs of a bias row", _states(subject, drive)[1][0], expected)


def _slopes(subject: Subject) -> None:
    _needs(subject)
    topology = _block(subject, slopes=(0.5, 0.25))
    with subject.holding(topology):
        _place(subject, topology)
        rows, columns = topology.cells(topology.couplings[0])
        if subject.planes < 2:
            raise Skipped("without a second plane no weight is 0")
        _weigh(subject, np.zeros((rows, columns)))
        drive = np.full((1, rows), 0.8)
        dac = subject.converters[ConverterId.NUDGE_DAC]
        size = 0.9 * min(-dac.low / subject.current_unit_a, dac.high / subject.current_unit_a, 0.5)
        nudge = np.full((1, columns), size)
        first, last = _states(subject, drive, nudge, -nudge)
        _demand_size("states of a clamped layer with slope 0.5, driven with 0.8,", first[0], 0.5 * drive)
        adc = subject.converters[ConverterId.OUTPUT_ADC]
        moved, wanted = float(np.mean(last[1] - last[2])), 2 * size
        off = NEAR * wanted + adc.lsb / subject.state_unit_v
        demand(abs(moved - wanted) < off, f"a linear layer with slope 0.25 moved by {moved:.3f} under nudges of "
                                          f"+-{size:.3f}: its slope is not to be looked at")  # fmt: skip


def _rails(subject: Subject) -> None:
    _needs(subject)
    p, adc = subject.parameters, subject.converters[ConverterId.OUTPUT_ADC]
    if Parameter.LINEAR_HIGH_V not in p:
        raise Skipped("the device states no rails")
    rail = p[Parameter.LINEAR_HIGH_V]
    if adc.high - rail < 3 * adc.lsb:
        raise Skipped("the output ADC ends at the rail")
    topology = _block(subject, first=min(CROWD, subject.fabric.max_units, subject.fabric.max_rows))
    with subject.holding(topology):
        _place(subject, topology)
        rows, columns = topology.cells(topology.couplings[0])
        weight = 0.9 * weight_unit(subject)
        if rows * weight * subject.state_unit_v < 1.1 * adc.high:
            raise Skipped("all inputs together do not reach the rail")
        _weigh(subject, np.full((rows, columns), weight))
        top = subject.converters[ConverterId.DRIVE_DAC].high / subject.current_unit_a
        limit = 0.99 * subject.limits.active.max_drive_a / subject.current_unit_a
        last = _states(subject, np.full((1, rows), min(top, limit, 3.0)))[1][0] * subject.state_unit_v
        seen = float(np.median(last))
        most = rail + (adc.high - rail) / 2
        demand(seen < most, f"a linear layer reads {seen:.3f} V, its rail is {rail:g} V")
        demand(seen > 0.8 * rail, f"a linear layer driven to its rail of {rail:g} V reads {seen:.3f} V")


def _told(subject: Subject) -> None:
    topology = _block(subject, bias=False, slopes=(0.75, 1.5)) if not subject.fabric.resistive else subject.topology
    subject.verbs.ask(Opcode.CONFIGURE, Configure(0, topology).pack())
    told = subject.verbs.ask(Opcode.TOPOLOGY, pack_array(0))
    wanted = pack_topology(topology)
    demand(told == wanted, f"TOPOLOGY answers {told.hex()}, CONFIGURE had {wanted.hex()}")


CHECKS = (
    Check("settle.weights", "7.5", "outputs have the size that the written weights give, within a fifth", _weights),
    Check(
        "settle.pairs",
        "7.5",
        "pairs of cells that noise does not hide count by their significance, within a fifth",
        _pairs,
    ),
    Check("settle.bias", "7.5", "a bias row is there, and counts as an input that is always 1", _bias),
    Check("settle.slopes", "7.5", "slope applies to clamped layers, and to no linear one", _slopes),
    Check("settle.rails", "7.5", "a linear layer stays within linear_low_v and linear_high_v", _rails),
    Check("settle.topology", "7.5", "TOPOLOGY answers what CONFIGURE placed", _told),
)
