"""What a virtual rack measures against what its crossbar is, and how a noisy product relaxes against an exact one.

    python -m benchmarks.rack

Conductance maps of 16x16 cells: the largest error of a cell over its stated uncertainty, stuck and open cells found.
A resistive network 10-16-3: node voltages against an exact solve of the same sources, and the gradient of 40 cells by
equilibrium propagation against finite differences of the measured cost. Product platforms: sweeps with noise over
sweeps without, and the largest distance of a settled sample from the equilibrium over its stated error.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from drivers.loopback import Loopback
from drivers.rack import cells, program
from drivers.rack.network import NetworkSession, Phase, layout
from drivers.rack.rig import Rig
from emulator import couplings, network
from emulator.chip import Chip
from emulator.network import Stop
from emulator.neurons import ideal_neurons
from emulator.rack.rack import VirtualRack
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.racks import facts, load_rack
from hil.counterparts.product import ProductBench

Array = NDArray[np.float64]
SOURCES, HIDDEN, OUT = 10, 16, 3
PROBED = 40


def main() -> None:
    """Prints the table."""
    for parking in ("ground", "half"):
        for wire_ohm in (0.0, 2.0):
            print(_map(wire_ohm, "half" if parking == "half" else "ground"))
    print(_written())
    print(_nodes())
    print(f"EP through the rack against finite differences of the measured cost: cosine {_cosine():.4f}")
    for name in ("arc-two-32x32-like", "openmena-8x8-like"):
        print(_relaxing(name))


def _open(**dut: float) -> tuple[VirtualRack, Rig]:
    rack = load_rack("bench-16x16")
    timing = {k: v for k, v in dut.items() if k in ("wire_ohm", "contact_ohm")} | {"contact_ohm": 0.1}
    assert rack.dut is not None
    rack = rack.model_copy(
        update={"dut": rack.dut.model_copy(update=dut), "timing": rack.timing.model_copy(update=timing)}
    )
    virtual = VirtualRack(rack)
    return virtual, Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


def _map(wire_ohm: float, parking: cells.Parking) -> str:
    virtual, rig = _open(wire_ohm=wire_ohm, stuck=0.02, open=0.02)
    with rig:
        got = cells.conductance_map(rig, parking=parking)
    bar = virtual.bench.crossbar
    error = np.abs(got.g_s - bar.g_s)
    found = {tuple(c) for c in got.open_cells} & {tuple(c) for c in np.argwhere(bar.dead)}
    return (
        f"map, {wire_ohm:g} ohm a cell, parked at {parking}: error {error.max() * 1e9:.0f} nS, at most "
        f"{(error / got.uncertainty_s).max():.2f} of the stated uncertainty; "
        f"{len(found)} of {int(bar.dead.sum())} open cells found, {len(got.open_cells) - len(found)} false"
    )


def _written() -> str:
    virtual, rig = _open(stuck=0.02, open=0.02)
    with rig:
        got = program.write(rig, np.full((16, 16), 1e-4))
    bar = virtual.bench.crossbar
    bad = np.argwhere(bar.stuck | bar.dead)
    found = {tuple(c) for c in got.missed} & {tuple(c) for c in bad}
    pulses = got.pulses[~(bar.stuck | bar.dead)]
    return (
        f"write-verify: {len(found)} of {len(bad)} stuck or open cells found, {len(got.missed) - len(found)} false; "
        f"{pulses.mean():.1f} pulses a sound cell"
    )


def _nodes() -> str:
    virtual, rig = _open(diode_ohm=0.01, contact_ohm=0.01)
    draw = np.random.default_rng(1)
    worst = 0.0
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        for _ in range(5):
            free = session.settle(draw.uniform(-0.5, 0.5, SOURCES))[0]
            want = _exact(virtual.bench.crossbar.g_s, free.source_v)
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(free.layers_v, want, strict=True)))
        session.close()
    meter = facts("keysight-34980a").range_for("volts", 1.0).uncertainty(1.0)
    nudge = facts("keithley-2636b").range_for("amps", 1e-4).offset / virtual.bench.crossbar.g_s[10:13].sum(1).min()
    return (
        f"node voltages: off by {worst * 1e6:.0f} uV at most; meter {meter * 1e6:.0f} uV, "
        f"offset of the nudge sources {nudge * 1e6:.0f} uV"
    )


def _exact(g: Array, source_v: Array) -> tuple[Array, Array]:
    """Projected Gauss-Seidel on Kirchhoff's law; spare rows float, diodes ideal."""
    first = np.arange(HIDDEN) < HIDDEN // 2
    low, high = np.where(first, 0.0, -np.inf), np.where(first, np.inf, 0.0)
    g_in, g_out, g_spare = g[:SOURCES], g[SOURCES : SOURCES + OUT], g[SOURCES + OUT :]
    hidden, out, spare = np.zeros(HIDDEN), np.zeros(OUT), np.zeros(len(g_spare))
    for _ in range(2000):
        hidden = np.clip((source_v @ g_in + out @ g_out + spare @ g_spare) / g.sum(0), low, high)
        spare, out = g_spare @ hidden / g_spare.sum(1), g_out @ hidden / g_out.sum(1)
    return hidden, out


def _cosine() -> float:
    virtual, rig = _open()
    draw = np.random.default_rng(2)
    source_v, target = draw.uniform(-0.5, 0.5, SOURCES), draw.uniform(-0.05, 0.05, OUT)
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        error = session.settle(source_v)[0].layers_v[1] - target
        beta = 5e-5 / np.abs(error).max()
        _, plus, minus = session.settle(source_v, [-beta * error, beta * error])
        gradient = (_drops(plus) - _drops(minus)) / (2 * beta)
        g = virtual.bench.crossbar.g_s.copy()
        probed = [tuple(c) for c in draw.permutation(np.argwhere(np.ones((SOURCES + OUT, HIDDEN))))[:PROBED]]
        costs = np.empty((PROBED, 2))
        for (cell, number), side in (((c, n), s) for n, c in enumerate(probed) for s in (0, 1)):
            changed = g.copy()
            changed[cell] += (2e-5, -2e-5)[side]
            virtual.bench.crossbar.write(changed)
            virtual.bench.changed()
            costs[number, side] = 0.5 * np.sum((session.settle(source_v)[0].layers_v[1] - target) ** 2)
        session.close()
    ours, differences = np.array([gradient[cell] for cell in probed]), costs[:, 0] - costs[:, 1]
    return float(ours @ differences / np.linalg.norm(ours) / np.linalg.norm(differences))


def _drops(phase: Phase) -> Array:
    hidden, out = phase.layers_v
    return np.concatenate([phase.source_v[:, None] - hidden, out[:, None] - hidden]) ** 2 / 2


def _relaxing(name: str) -> str:
    topology, sheet = dense_chain([24, 16, 8], slope=0.5), load(name)
    sweeps, worst, share = np.zeros(2), 0.0, []
    for seed in range(8):
        draw = torch.Generator().manual_seed(seed)
        weights = {f"bias_{n}": torch.zeros(size) for n, size in enumerate((16, 8))}
        weights |= {
            f"weight_{n}": torch.randn(b, a, generator=draw) * 0.5 / a**0.5
            for n, (a, b) in enumerate(((24, 16), (16, 8)))
        }
        drive = torch.randn(40, 24, generator=draw)
        for column, chip in enumerate((Chip(sheet, seed), Chip(_quiet(sheet), seed))):
            array = ProductBench(chip, name).place(topology)
            array.program(weights)
            settled = array.settle(drive)
            report = settled.phases[0]
            sweeps[column] += float(report.iterations.float().mean())
            if column == 0:
                true = _equilibrium(chip, drive)
                gaps = [(a - b).abs().amax(1) for a, b in zip(settled.free, true, strict=True)]
                ratio = torch.stack(gaps).amax(0) / report.residual
                worst = max(worst, float(ratio[report.settled].max()))
                share.append(float(report.settled.float().mean()))
    return (
        f"{name}: {sweeps[0] / sweeps[1]:.2f} times the sweeps of exact products; {np.mean(share):.1%} settled, "
        f"at most {worst:.2f} of the stated error from the equilibrium"
    )


def _quiet(sheet: Datasheet) -> Datasheet:
    product = sheet.product
    assert product is not None
    adc = product.line_adc.model_copy(update={"bits": 0, "noise_sigma_a": 0.0, "low_a": -1.0, "high_a": 1.0})
    dac = product.line_dac.model_copy(update={"bits": 0})
    return sheet.model_copy(update={"product": product.model_copy(update={"line_adc": adc, "line_dac": dac})})


def _equilibrium(chip: Chip, drive: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Relaxed exactly, with the conductances that really are on the tiles."""
    topology, first, matrices = dense_chain([24, 16, 8], slope=0.5), 0, []
    for coupling in topology.couplings:
        down, across = chip.datasheet.fabric.cut(*topology.cells(coupling))
        tiles = [chip.conductances_s(first + n)[0].double() for n in range(down * across)]
        rows = [torch.cat([t[0] - t[1] for t in tiles[i * across :][:across]], 1) for i in range(down)]
        matrices.append(torch.cat(rows) * chip.datasheet.neurons.transimpedance_ohm)
        first += down * across
    built = couplings.build(
        topology, {i: m[:-1].T for i, m in enumerate(matrices)}, {i: m[-1] for i, m in enumerate(matrices)}
    )
    net = network.Network(topology, built, ideal_neurons(topology))
    return network.relax(net, drive.double(), stop=Stop(5000, 1e-12)).states


if __name__ == "__main__":
    main()
