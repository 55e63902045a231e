"""Measuring one array of a device: its cells, its layers with their channels, how fast it settles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from drivers.crossbar import Crossbar
from firmware_specs.codes import Capability, ConverterId
from firmware_specs.topology import Topology
from hil.measuring import settle_time
from hil.measuring.calibrate import sweeps
from hil.measuring.calibrate.cells import CellMap, cell_map
from hil.measuring.calibrate.nodes import Nodes, Sources, transfers
from hil.measuring.calibrate.rest import Rest
from hil.measuring.calibrate.transfer import Transfer, fit, with_adc
from hil.measuring.placed import PlacedBlock
from hil.measuring.settle_time import Settling

SHARES = (2.0, *settle_time.SHARES)
"""Waits to try: longer than the usual one, too, which may be short."""


@dataclass(frozen=True)
class ArrayFindings:
    """One array with its block.

    Attributes:
        topology: The block.
        layers: Transfer of every layer; None where nothing reaches it (no drive, no bias line, no nudge).
        cells: Of every coupling; None where they cannot be written and read.
        settling: How fast it settles; None where the wait cannot be chosen.
        sources: Gain of the source nodes of a resistive network.
        skipped: What was not measured, and why.
        steps: Of the ADC of every layer, model units; 0: ideal.
    """

    topology: Topology
    layers: tuple[Transfer | None, ...]
    cells: tuple[CellMap | None, ...]
    settling: Settling | None = None
    sources: Sources | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    steps: tuple[float, ...] = ()


def measure_array(
    crossbar: Crossbar, array: int, topology: Topology, progress: Callable[[str], None] = lambda what: None
) -> ArrayFindings:
    """Measures one array; what its cells hold is lost, and they are left at rest."""
    block, skipped = PlacedBlock(crossbar, array, topology), {}
    progress(f"array {array}: cells")
    cells: tuple[CellMap | None, ...] = (None,) * len(topology.couplings)
    if block.can(Capability.READ):
        cells = tuple(cell_map(block, c) for c in range(len(topology.couplings)))
    else:
        skipped["cells"] = "the device lacks READ"
    sources = None
    if block.resistive:
        progress(f"array {array}: nodes")
        layers, sources = _network(block, skipped)
    else:
        layers = _circuits(block, skipped, lambda layer: progress(f"array {array}: layer {layer}"))
    progress(f"array {array}: settle time")
    settling = _settling(block, layers[0], skipped)
    block.program({})
    steps = tuple(block.lsb(block.adc(layer)) for layer in range(len(topology.layers)))
    return ArrayFindings(topology, layers, cells, settling, sources, skipped, steps)


def _circuits(
    block: PlacedBlock, skipped: dict[str, str], progress: Callable[[int], None]
) -> tuple[Transfer | None, ...]:
    """Neuron circuits and their channels; the first layer comes last, since its neighbour helps to measure it."""
    rest = Rest.of(block)
    found: dict[int, Transfer | None] = {}
    for layer in (*range(1, len(block.topology.layers)), 0):
        progress(layer)
        transfer = _layer(block, layer, found)
        if transfer is None:
            skipped[f"layer {layer}"] = "neither drive, dense bias line nor nudge reaches it"
        elif transfer.adc is None:
            skipped[f"layer {layer}, curve of the ADC alone"] = "no cells of known weight drive it past the DAC"
        found[layer] = None if transfer is None else rest.widen(block, layer, transfer)
    return tuple(found[layer] for layer in sorted(found))


def _layer(block: PlacedBlock, layer: int, others: dict[int, Transfer | None]) -> Transfer | None:
    """Transfer of one layer, by whatever reaches it: drive, bias line, nudge."""
    spec, last = block.topology.layers[layer], len(block.topology.layers) - 1
    swept = sweeps.by_drive(block) if layer == 0 else sweeps.by_bias(block, layer)
    if swept is None and layer == last:
        swept = sweeps.by_nudge(block)
    if swept is None:
        return None
    how = (spec.slope if spec.clamped else 1.0, spec.clamped, block.lsb(block.adc(layer)))
    dac = {"drive_dac": ConverterId.DRIVE_DAC, "nudge_dac": ConverterId.NUDGE_DAC}.get(swept.through)
    transfer = fit(swept, *how, ideal_dac=dac is not None and block.lsb(dac) == 0)
    neighbour = others.get(block.topology.couplings[0].post) if layer == 0 and block.topology.couplings else None
    if transfer.adc is None and neighbour is not None:
        past = sweeps.by_neighbour(block, neighbour.states)
        if past is not None:
            post = block.topology.couplings[0].post
            units, step = block.topology.layers[post].units, block.lsb(block.adc(post))
            held_sigma = 0.0 if neighbour.adc is None else neighbour.adc.of_mean(units, step)
            return with_adc(transfer, swept, past, held_sigma, *how)
    return transfer


def _network(
    block: PlacedBlock, skipped: dict[str, str]
) -> tuple[tuple[Transfer | None, ...], Sources | None]:  # fmt: skip
    skipped["neurons"] = "a resistive network has nodes, not neuron circuits: no gain or offset of theirs"
    if not block.can(Capability.READ):
        skipped["nodes"] = "their voltages follow from the conductances, and the device lacks READ"
        return (None,) * len(block.topology.layers), None
    layers = transfers(block)
    sources = Nodes.prepare(block, 0, 1).sources(layers[0])
    if sources is None:
        skipped["sources one by one"] = "too many: each moves a node by less than a reading can tell"
    return tuple(layers), sources


def _settling(block: PlacedBlock, first: Transfer | None, skipped: dict[str, str]) -> Settling | None:
    if not block.can(Capability.SETTLE_TIME):
        skipped["settle time"] = "the device lacks SETTLE_TIME: its wait cannot be chosen"
        return None
    block.program({})
    waits_s = settle_time.usual_waits_s(block, SHARES)
    states = np.stack([settle_time.after(block, float(t)) for t in waits_s])
    try:
        return settle_time.conclude(waits_s, states if first is None else first.states(states))
    except ValueError as error:
        skipped["settle time"] = str(error)
        return None
