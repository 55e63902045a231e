"""Resistive networks: settle time next to ngspice, a training step next to rain-neuromorphics/energy-based-learning.

`python -m benchmarks.resistive`; `PEER_RN=DIR` names a checkout of their code, nothing of which is part of this one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.clock import alternate, cpu_seconds
from benchmarks.energy_based import Trained, importable
from emulator import ngspice
from emulator.chip import Chip
from emulator.netlist import Circuit
from emulator.network import Stop
from firmware_specs.chains import resistive_chain
from firmware_specs.datasheet import load
from hil.counterparts.opening.bench import open_bench
from hil.experiments import experiment_file
from hil.learning.loss import task
from hil.learning.model import build, energy_blocks

POINTS = 100
BATCH = 32
SWEEPS = 4
"""What their configuration of the 2x784-100-10 net settles with, in every phase."""


def spice_table(rounds: int) -> list[str]:
    """Seconds for 100 operating points of n sources, n nodes with ideal diodes and 4 outputs."""
    lines = [f"{POINTS} operating points, ms: emulator (float64, 1e-9 of full scale), ngspice in one process, ratio"]
    for size in (8, 32, 64):
        chip, circuit, drives = _array(size)
        drive = torch.from_numpy(drives)
        took = alternate({"emulator": partial(chip.settle, 0, drive)}, rounds * 5)["emulator"]
        began = time.perf_counter()
        solved = ngspice.solve(circuit, drives)
        spice_s = time.perf_counter() - began
        states = torch.cat([s.flatten(1) for s in chip.settle(0, drive)[0].states_v], 1).numpy()
        apart = np.abs(states - solved).max()
        lines.append(
            f"  {size:2d}x{size:<2d} {took.median * 1e3:9.2f} {spice_s * 1e3:10.1f} {spice_s / took.median:8.0f}x"
            f"   apart {apart:.0e} V of {np.abs(solved).max():.2f} V"
        )
    return lines


def _array(size: int) -> tuple[Chip, Circuit, Any]:
    sheet = load("resistive-ideal")
    settle = sheet.settle.model_copy(update={"max_iterations": 10_000, "tolerance": 1e-7})
    sheet = sheet.model_copy(update={"settle": settle})  # a state unit is 10 mV
    topology = resistive_chain(size, [size, 4], bias=False)
    chip = Chip(sheet, dtype=torch.float64)
    chip.configure(0, topology)
    draw = np.random.default_rng(size)
    shapes = [topology.cells(c) for c in topology.couplings]
    chip.program(0, [torch.from_numpy(draw.uniform(0, 1e-4, (1, *shape))) for shape in shapes])
    drives = draw.normal(0, 1, (POINTS, size))
    chip.settle(0, torch.from_numpy(drives))
    return chip, Circuit(sheet, topology, [g[0].numpy() for g in chip.arrays[0].conductances_s]), drives


def training_table(rounds: int, checkout: Path | None) -> list[str]:
    """A training step of 2x784-100-10 at batch 32, SGD."""
    torch.manual_seed(0)
    images, labels = torch.rand(BATCH, 1, 28, 28), torch.arange(BATCH) % 10
    steps: dict[str, Callable[[], object]] = {}
    note = []
    ours = network(Stop(SWEEPS, 0.0))
    if checkout is not None:
        peer = peer_of(checkout, ours)
        apart = (peer.outputs(images) - ours(images).detach()).abs().max()
        note = [f"  output voltages after {SWEEPS} sweeps, ours less theirs: {float(apart):.1e}"]
        steps["theirs"] = lambda: peer.step(images, labels)
    steps[f"ours, {SWEEPS} sweeps"] = step_of(ours, images, labels)
    steps["ours, tolerance 1e-3"] = step_of(network(Stop(30, 1e-3)), images, labels)
    times = alternate(steps, rounds * 10)
    cpu_s = cpu_seconds(steps, rounds * 10)
    first = next(iter(times))
    lines = [f"2x784-100-10, batch {BATCH}: images/s, ms a step, times faster, clean samples; CPU ms, ratio", *note]
    for label, timing in times.items():
        lines.append(
            f"  {label:22s} {BATCH / timing.median:8.0f} {timing.median * 1e3:8.2f}"
            f" {times[first].median / timing.median:6.1f}  {len(timing.seconds)}/{timing.samples}"
            f" {cpu_s[label] * 1e3:8.2f} {cpu_s[first] / cpu_s[label]:6.1f}"
        )
    return lines


def network(stop: Stop) -> nn.Module:
    """2x784-100-10 on the reference."""
    experiment = experiment_file.load("mnist-resistive")
    return build(experiment, open_bench("reference:", stop=stop), (1, 28, 28), 10)


def step_of(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A step of ours."""
    optimizer, loss = torch.optim.SGD(model.parameters(), 0.006), task("mse").loss
    blocks = list(energy_blocks(model).values())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model(images), labels).backward()
        optimizer.step()
        for block in blocks:
            block.project()

    return step


def peer_of(checkout: Path, ours: nn.Module) -> Trained:
    """Their network of the same shape with the same conductances, trained as in their `drn.py`."""
    importable(checkout)
    from model.resistive.minimizer import QuadraticMinimizer
    from model.resistive.network import DeepResistiveEnergy

    energy = DeepResistiveEnergy([(2, 28, 28), (100,), (10,)], [1.0, 1.0], 100.0)
    trained = Trained(energy, QuadraticMinimizer, SWEEPS, 1.0, 0.006)
    (block,) = energy_blocks(ours).values()
    with torch.no_grad():
        weights = [block.get_parameter(f"weight_{i}") for i in range(2)]
        for mine, theirs in zip(weights, energy.params()[2:], strict=True):
            theirs.state.copy_(mine.T.reshape(theirs.state.shape))
    return trained


def main() -> None:
    """Prints both tables."""
    rounds = int(os.environ.get("ROUNDS", "3"))
    checkout = Path(os.environ["PEER_RN"]) if os.environ.get("PEER_RN") else None
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("\n".join(training_table(rounds, checkout)), flush=True)
    if ngspice.available():
        print("\n".join(spice_table(rounds)), flush=True)
    else:
        print("ngspice is not installed: no comparison of settle times")


if __name__ == "__main__":
    main()
