"""Circuits to write as netlists: an experiment's resistive block as programmed, or a datasheet's with random cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emulator.chip import Chip
from emulator.netlist import Circuit, Floats
from firmware_specs.chains import resistive_chain
from firmware_specs.datasheet import Datasheet
from hil import data
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.mapping import Mapping
from hil.counterparts.seam import Bench, PlacementError
from hil.experiments.schema import Experiment
from hil.learning.model import build, energy_blocks
from hil.training.run import checkpoint
from hil.training.run.folder import RunError


class NetlistError(ValueError):
    """What was asked for has no netlist; the message says why."""


def of_experiment(
    experiment: Experiment, bench: Bench, data_root: Path, points: int, checkpoints: Path | None = None
) -> tuple[Circuit, Floats]:
    """The first resistive block of an experiment, and what its sources are driven with for test samples.

    Args:
        experiment: Model and data.
        bench: An emulated device.
        data_root: Folder of the data sets.
        points: How many test samples.
        checkpoints: Folder of a run whose newest weights are programmed; initial weights when omitted.

    Returns:
        The circuit and its source voltages, (points, sources).

    Raises:
        NetlistError: no resistive block, or a counterpart whose conductances are not known.
        RunError: no checkpoint that reads back whole.
    """
    if not isinstance(bench, EmulatorBench):
        raise NetlistError(f"{bench.address}: a netlist shows an emulated device's conductances: emulator:DATASHEET")
    dataset = data.load(experiment.data, data_root)
    try:
        model = build(experiment, bench, dataset.shape, dataset.classes)
    except PlacementError as error:
        raise NetlistError(f"{bench.address}: {error}") from error
    if checkpoints is not None:
        newest = checkpoint.newest(checkpoints)
        if newest is None:
            raise RunError(f"{checkpoints}: no checkpoint that reads back whole")
        prefix = "model."
        weights = {n.removeprefix(prefix): v for n, v in newest.tensors.items() if n.startswith(prefix)}
        model.load_state_dict(weights)
    numbered = enumerate(energy_blocks(model).values())
    found = [(n, block) for n, block in numbered if block.topology.substrate == "resistive"]
    if not found:
        raise NetlistError("no block of this experiment is resistive")
    index, block = found[0]
    drives: list[Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, inputs: drives.append(inputs[0]))
    images = dataset.prepare(dataset.test.images[:points], torch.device("cpu"), getattr(torch, experiment.run.dtype))
    model.eval()
    with torch.no_grad():
        model(images)
    handle.remove()
    sheet = bench.chip.datasheet
    circuit = _circuit(bench.chip, index)
    return circuit, (drives[0].flatten(1).double() * Mapping(sheet).drive_unit).numpy()


def of_datasheet(sheet: Datasheet, units: list[int], points: int, seed: int) -> tuple[Circuit, Floats]:
    """A network with random cells and random source voltages, diodes on all layers but the last.

    Args:
        sheet: A resistive device.
        units: Sources, then the nodes of each layer.
        points: Number of operating points.
        seed: Of cells and voltages.

    Raises:
        NetlistError: the device is not resistive.
    """
    if not sheet.resistive:
        raise NetlistError(
            f"{sheet.identity.model} is a {sheet.fabric.substrate} device; netlists are of resistive ones"
        )
    topology = resistive_chain(units[0], units[1:])
    chip = Chip(sheet, seed, dtype=torch.float64)
    chip.configure(0, topology)
    draw = np.random.default_rng(seed)
    cells = sheet.cells
    shapes = [topology.cells(c) for c in topology.couplings]
    chip.program(0, [torch.from_numpy(draw.uniform(cells.g_min_s, cells.g_max_s, (1, *shape))) for shape in shapes])
    low_v, high_v = sheet.drive_dac.low, sheet.drive_dac.high
    drives = draw.uniform(low_v, high_v, (points, units[0]))
    chip.settle(0, torch.from_numpy(drives))
    return _circuit(chip, 0), drives


def _circuit(chip: Chip, array: int) -> Circuit:
    placed = chip.arrays[array]
    return Circuit(chip.datasheet, placed.topology, [g[0].double().cpu().numpy() for g in placed.conductances_s])
