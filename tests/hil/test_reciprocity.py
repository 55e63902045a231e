"""Cells that conduct differently from row to column and back: products, settles, and gradients with and without."""

import itertools

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, DatasheetError, load
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.product import ProductBench
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import PlacementError
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator

SIZES = (8, 6, 3)
GAIN = 0.9


def sheet_of(name, spread, gain=GAIN):
    """A platform without any other effect."""
    sheet = load(name)
    cells = sheet.cells.model_copy(update={"nonreciprocity": spread, "backward_gain": gain, "programming_noise": 0.0})
    settle = sheet.settle.model_copy(update={"tolerance": 1e-7, "max_iterations": 60})
    sheet = sheet.model_copy(update={"cells": cells, "settle": settle})
    if sheet.product is None:
        return sheet
    dac = sheet.product.line_dac.model_copy(update={"bits": 0})
    adc = sheet.product.line_adc.model_copy(update={"bits": 0, "noise_sigma_a": 0.0, "low_a": -1.0, "high_a": 1.0})
    return sheet.model_copy(update={"product": sheet.product.model_copy(update={"line_dac": dac, "line_adc": adc})})


def held(chip, coupling, array):
    """What the cells of a coupling were written to, model units, and the two ratios of its pairs, (rows, columns)."""
    ohm = chip.datasheet.neurons.transimpedance_ohm
    return chip.conductances_s(array)[coupling].double() * ohm, chip.arrays[array].wiring.back[coupling].double()


def test_a_product_in_one_direction_is_as_written_and_in_the_other_as_each_cell_has_it():
    chip = Chip(sheet_of("arc-two-32x32-like", 0.2), 1)
    array = ProductBench(chip, "test").place(dense_chain([20, 20], bias=False))
    array.program({"weight_0": torch.rand(20, 20) - 0.3})
    planes, back = held(chip, 0, 0)
    unit = torch.eye(20, dtype=torch.float64) * 0.1
    ohm = chip.datasheet.neurons.transimpedance_ohm
    forth, transposed = (array.multiply(0, unit, way).amps * ohm / 0.1 for way in (False, True))
    assert torch.allclose(forth, planes[0] - planes[1], rtol=1e-6, atol=1e-9)
    wanted = planes[0] * back[0] - planes[1] * back[1]
    assert torch.allclose(transposed.T, wanted, rtol=1e-6, atol=1e-9)
    assert back.mean() == pytest.approx(GAIN, abs=0.03) and back.std() == pytest.approx(0.2 * GAIN, rel=0.1)
    again = Chip(sheet_of("arc-two-32x32-like", 0.2), 1)
    ProductBench(again, "test").place(dense_chain([20, 20], bias=False))
    assert torch.equal(again.arrays[0].wiring.back[0].double(), back)  # for life


def fixed_point(forth, backward, biases, drive, slopes):
    """States of a network whose couplings differ by direction; differentiable."""
    states = [torch.zeros(len(drive), len(b), dtype=torch.float64) for b in (drive[0], *biases)]
    for _ in range(80):
        for layer in range(len(states)):
            z = drive if layer == 0 else states[layer - 1] @ forth[layer - 1] + biases[layer - 1]
            if layer + 1 < len(states):
                z = z + states[layer + 1] @ backward[layer].T
            states[layer] = (slopes * z).clamp(0, 1) if layer + 1 < len(states) else z
    return states


def test_a_settling_chip_rests_where_each_direction_has_its_own_weights():
    chip = Chip(sheet_of("ideal", 0.2), 3, dtype=torch.float64)
    topology = dense_chain(list(SIZES), slope=0.6)
    array = EmulatorBench(chip, "test").place(topology)
    block = {f"weight_{n}": torch.randn(b, a) * 0.3 for n, (a, b) in enumerate(itertools.pairwise(SIZES))}
    block |= {f"bias_{n}": torch.zeros(b) for n, b in enumerate(SIZES[1:])}
    array.program(block)
    drive = torch.rand(5, SIZES[0], dtype=torch.float64)
    settled = array.settle(drive)
    forth, backward = [], []
    for number in range(2):
        planes, back = held(chip, number, 0)
        forth.append((planes[0] - planes[1])[:-1])
        backward.append((planes[0] * back[0] - planes[1] * back[1])[:-1])
    wanted = fixed_point(forth, backward, [torch.zeros(n, dtype=torch.float64) for n in SIZES[1:]], drive, 0.6)
    assert all(torch.allclose(a.double(), b, atol=1e-4) for a, b in zip(settled.free, wanted, strict=True))


def gradients(spread, gain, reciprocity):
    """Of a block on a product chip, and those of autograd through the fixed point of the same cells."""
    sheet = sheet_of("arc-two-32x32-like", spread, gain)
    chip, topology = Chip(sheet, 1), dense_chain(list(SIZES), slope=0.6)
    torch.manual_seed(1)
    rule = Estimator(beta=2e-3, auto_range=False, reciprocity=reciprocity)
    block = EnergyBlock(topology, ProductBench(chip, "test"), rule, observer=lambda settled: None).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(1.5)
    drive, labels = torch.rand(16, SIZES[0], dtype=torch.float64) * 2 - 0.3, torch.randint(SIZES[-1], (16,))
    torch.nn.functional.cross_entropy(block(drive), labels).backward()
    least = sheet.cells.g_min_s * sheet.neurons.transimpedance_ohm
    weights = [block.get_parameter(f"weight_{n}").detach().clone().requires_grad_() for n in range(2)]
    biases = [block.get_parameter(f"bias_{n}").detach().clone().requires_grad_() for n in range(2)]
    backward = []
    for number, weight in enumerate(weights):
        back = held(chip, 0, number)[1][:, :-1] if not sheet.cells.reciprocal else torch.ones(2, 1, 1)
        backward.append((weight.T.clamp(min=0) + least) * back[0] - ((-weight.T).clamp(min=0) + least) * back[1])
    scores = fixed_point([w.T for w in weights], backward, biases, drive, 0.6)[-1]
    torch.nn.functional.cross_entropy(scores, labels).backward()
    measured = [block.get_parameter(f"{kind}_{n}").grad for kind in ("weight", "bias") for n in range(2)]
    exact = [p.grad for p in (*weights, *biases)]
    a, b = (torch.cat([g.flatten().double() for g in which]) for which in (measured, exact))
    return float(a @ b / (a.norm() * b.norm()))


def test_gradients_are_corrected_by_what_both_directions_show():
    assert gradients(0.0, 1.0, "assumed") > 0.999
    plain, corrected = (gradients(0.4, 1.0, rule) for rule in ("assumed", "measured"))
    assert corrected > 0.99 and plain < 0.95


def test_symmetric_couplings_have_nothing_to_correct():
    drive, found = torch.rand(4, 5), []
    for rule in ("assumed", "measured"):
        torch.manual_seed(0)
        block = EnergyBlock(dense_chain([5, 4]), ReferenceBench(), Estimator(reciprocity=rule))
        block(drive).square().sum().backward()
        found.append([p.grad.clone() for p in block.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_device_that_settles_refuses_to_be_corrected_and_says_what_to_set():
    block = EnergyBlock(
        dense_chain([5, 4]), EmulatorBench(Chip(load("ideal"), 0), "test"), Estimator(reciprocity="measured")
    )
    with pytest.raises(PlacementError, match=r"estimator\.reciprocity=assumed"):
        block(torch.rand(4, 5)).sum().backward()


def test_resistors_are_reciprocal(tmp_path):
    document = load("resistive-board").model_dump(mode="json", exclude_none=True)
    document["cells"]["nonreciprocity"] = 0.1
    with pytest.raises(ValueError, match="are resistors"):
        Datasheet.model_validate(document)
    assert issubclass(DatasheetError, ValueError)
