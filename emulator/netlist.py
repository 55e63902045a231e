"""A programmed resistive array as an ngspice netlist, written element by element.

It shares no formula with the emulator: every cell is a resistor, every wire segment is one, and ngspice finds the
voltages. Supply rails and converters are left out. Nodes: `s<k>` sources, `n<l>_<j>` nodes of layer l, `a<l>_<j>`
outputs of their amplifiers; of crossbar l, `r<l>_<i>_<k>` and `c<l>_<j>_<k>` are the k-th cell from the port along row
i and column j.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Topology

Floats = NDArray[np.float64]

IDEAL_DIODE_S = 1e6
"""Conductance of a conducting ideal diode: 1 mA moves its node by a nanovolt."""

OPTIONS = "reltol=1e-10 abstol=1e-16 vntol=1e-13 gmin=1e-18 itl1=1000"
"""Ngspice's defaults would leave 1e-3 of every voltage and 1 pS across every diode."""


@dataclass(frozen=True)
class Circuit:
    """A programmed resistive array.

    Attributes:
        sheet: Wires, leak, diodes, units.
        topology: A resistive chain.
        conductances_s: One (rows, columns) matrix a coupling, the bias line last where there is one.
    """

    sheet: Datasheet
    topology: Topology
    conductances_s: Sequence[Floats]

    def __post_init__(self) -> None:
        if self.topology.substrate != "resistive":
            raise ValueError("netlists are written of resistive networks, this block has neuron circuits")
        for index, coupling in enumerate(self.topology.couplings):
            shape, expected = self.conductances_s[index].shape, self.topology.cells(coupling)
            if shape != expected:
                raise ValueError(f"conductances_s[{index}]: shape {shape}, the crossbar has {expected}")

    @property
    def sources(self) -> int:
        """Number of source nodes."""
        return int(np.prod(self.topology.drive_shape))

    @property
    def nodes(self) -> list[str]:
        """Nodes of all layers, first layer first; with amplifiers their outputs, since these are the states."""
        kinds = ["n" if layer.gain == 1.0 else "a" for layer in self.topology.layers]
        return [f"{kinds[n]}{n}_{j}" for n, layer in enumerate(self.topology.layers) for j in range(layer.units)]

    def cells_s(self, layer: int) -> Floats:
        """Cells between the sources, or the layer before, and a layer; without the bias line."""
        matrix = self.conductances_s[layer]
        return matrix[:-1] if self.topology.couplings[layer].bias else matrix


def write(circuit: Circuit, drives_v: Floats, nudges_a: Floats | None = None, raw: str = "points.raw") -> str:
    """The netlist, with one operating point a sample, all solved in one process.

    Args:
        circuit: What to write.
        drives_v: Source voltages, (points, sources).
        nudges_a: Current into each node of the last layer, (points, units); none when omitted.
        raw: File that ngspice appends every point's node voltages to.
    """
    last = circuit.topology.layers[-1].units
    nudges = np.zeros((len(drives_v), last)) if nudges_a is None else nudges_a
    expected = (len(drives_v), circuit.sources), (len(drives_v), last)
    if not len(drives_v) or (drives_v.shape, nudges.shape) != expected:
        raise ValueError(
            f"drives_v {drives_v.shape} and nudges_a {nudges.shape}: expected {expected}, one point or more"
        )
    identity, final = circuit.sheet.identity, len(circuit.topology.layers) - 1
    lines = [f"* {identity.vendor} {identity.model}, a resistive network", f".options {OPTIONS}", *_models(circuit)]
    lines += [f"Vs{k} s{k} 0 {v:.17g}" for k, v in enumerate(drives_v[0])]
    for layer in range(final + 1):
        lines += [*_crossbar(circuit, layer), *_nodes(circuit, layer)]
    lines += [f"Inudge{j} 0 n{final}_{j} {i:.17g}" for j, i in enumerate(nudges[0])]
    lines += [f".save v({node})" for node in circuit.nodes]
    return "\n".join([*lines, *_control(drives_v, nudges, raw), ".end", ""])


def _models(circuit: Circuit) -> list[str]:
    diodes = circuit.sheet.nodes.diodes
    if diodes.saturation_a == 0:
        return []
    celsius = diodes.temperature_k - 273.15
    return [
        f".options temp={celsius:.10g} tnom={celsius:.10g}",
        f".model knee D(IS={diodes.saturation_a:.17g} N={diodes.ideality:.17g})",
    ]


def _crossbar(circuit: Circuit, layer: int) -> Iterator[str]:
    """Rows come from the sources or the layer before, columns end at this layer's nodes, at their last row."""
    wires, cells = circuit.sheet.wires, circuit.cells_s(layer)
    rows, columns = cells.shape
    feeds = [_output(circuit, layer - 1, i) for i in range(rows)]
    for i, feed in enumerate(feeds):
        yield from _line(f"r{layer}_{i}", feed, columns, wires.row_ohm, wires.terminal_ohm)
    for j in range(columns):
        yield from _line(f"c{layer}_{j}", f"n{layer}_{j}", rows, wires.column_ohm, wires.terminal_ohm)
    for i, j in zip(*np.nonzero(cells), strict=True):
        row = _tap(f"r{layer}_{i}", feeds[i], j, wires.row_ohm, wires.terminal_ohm)
        column = _tap(f"c{layer}_{j}", f"n{layer}_{j}", rows - 1 - i, wires.column_ohm, wires.terminal_ohm)
        yield f"Rg{layer}_{i}_{j} {row} {column} {1 / cells[i, j]:.17g}"


def _output(circuit: Circuit, layer: int, index: int) -> str:
    """What a row of the next crossbar is connected to."""
    if layer < 0:
        return f"s{index}"
    return f"n{layer}_{index}" if circuit.topology.layers[layer].gain == 1.0 else f"a{layer}_{index}"


def _line(name: str, port: str, cells: int, ohm: float, terminal_ohm: float) -> Iterator[str]:
    """A wire from its port along its cells: terminal and one segment before the first cell, a segment between two."""
    before = port
    for index in range(cells if ohm > 0 else int(terminal_ohm > 0)):
        node = _tap(name, port, index, ohm, terminal_ohm)
        yield f"Rw{name}_{index} {before} {node} {ohm + (terminal_ohm if index == 0 else 0.0):.17g}"
        before = node


def _tap(name: str, port: str, index: int, ohm: float, terminal_ohm: float) -> str:
    """Node of a wire at its index-th cell from the port."""
    if ohm > 0:
        return f"{name}_{index}"
    return name if terminal_ohm > 0 else port


def _nodes(circuit: Circuit, layer: int) -> Iterator[str]:
    """What hangs on the nodes themselves: bias current, leak, diode, amplifier."""
    spec, sheet = circuit.topology.layers[layer], circuit.sheet
    if circuit.topology.couplings[layer].bias:
        middle_s = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
        currents = (circuit.conductances_s[layer][-1] - middle_s) * sheet.neurons.state_unit_v
        yield from (f"Ib{layer}_{j} 0 n{layer}_{j} {i:.17g}" for j, i in enumerate(currents) if i != 0)
    for j in range(spec.units):
        node = f"n{layer}_{j}"
        if sheet.nodes.leak_s > 0:
            yield f"Rl{layer}_{j} {node} 0 {1 / sheet.nodes.leak_s:.17g}"
        if spec.clamped:
            yield _diode(f"{layer}_{j}", node, j < spec.excitatory, real=sheet.nodes.diodes.saturation_a > 0)
        if spec.gain != 1.0:
            # the source of 0 V measures what the output delivers; the node is loaded with 1 / gain of it
            yield f"Ea{layer}_{j} e{layer}_{j} 0 {node} 0 {spec.gain:.17g}"
            yield f"Va{layer}_{j} e{layer}_{j} a{layer}_{j} 0"
            yield f"Fa{layer}_{j} {node} 0 Va{layer}_{j} {1 / spec.gain:.17g}"


def _diode(name: str, node: str, excitatory: bool, *, real: bool) -> str:
    anode, cathode = ("0", node) if excitatory else (node, "0")
    if real:
        return f"Dk{name} {anode} {cathode} knee"
    sign = "-" if excitatory else ""
    return f"Bk{name} {anode} {cathode} I = {IDEAL_DIODE_S:g} * max({sign}v({node}), 0)"


def _control(drives_v: Floats, nudges_a: Floats, raw: str) -> Iterator[str]:
    yield from (".control", "set filetype=binary")
    present = np.concatenate([drives_v[0], nudges_a[0]])
    names = [f"Vs{k}" for k in range(drives_v.shape[1])] + [f"Inudge{j}" for j in range(nudges_a.shape[1])]
    for drive_v, nudge_a in zip(drives_v, nudges_a, strict=True):
        wanted = np.concatenate([drive_v, nudge_a])
        yield from (f"alter {names[k]} = {wanted[k]:.17g}" for k in np.flatnonzero(wanted != present))
        yield from ("op", f"write {raw}", "set appendwrite", "destroy all")
        present = wanted
    yield from ("quit", ".endc")
