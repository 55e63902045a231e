"""A chip that updates itself: through every door the same cells move, by what PROTOCOL.md 7.10 says, once."""

import numpy as np
import pytest
import torch

from drivers.doors import Options
from drivers.errors import BudgetSpent, OutOfRange
from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.codes import Capability
from firmware_specs.datasheet import load
from firmware_specs.messages import Term
from hil.counterparts.emulator import EmulatorBench
from hil.learning.energy import energy

SHEETS = {"hopfield": "self-updating", "resistive": "self-updating-resistive"}
BLOCKS = {"hopfield": dense_chain([6, 5, 3]), "resistive": resistive_chain(6, [5, 3])}
NOMINAL = {"gain_spread": 0.0, "bias_spread": 0.0, "limit": None}


def sheet_with(substrate, **circuit):
    sheet = load(SHEETS[substrate])
    return sheet.model_copy(update={"update": sheet.update.model_copy(update=circuit)})


def asked(topology, samples=7, seed=1):
    draw = torch.Generator().manual_seed(seed)
    drive = torch.rand(samples, *topology.drive_shape, generator=draw) * 2 - 0.5
    nudge = torch.randn(samples, *topology.nudge_shape, generator=draw) * 0.05
    return drive, [nudge, -nudge]


def parameters(topology, seed=0):
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for n, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        low, span = (0.1, 0.3) if topology.substrate == "resistive" else (-0.4, 1.0)
        found[f"weight_{n}"] = torch.rand(columns, rows - 1, generator=draw) * span + low
        found[f"bias_{n}"] = torch.rand(columns, generator=draw) * 0.2 - 0.1
    return found


@pytest.mark.parametrize("substrate", SHEETS)
def test_through_a_door_the_same_cells_move_as_in_process(open_both, substrate):
    process, device = open_both(SHEETS[substrate], seed=3)
    drive, nudges = asked(BLOCKS[substrate])
    windows_s, found = torch.linspace(0, 1e-3, 7), []
    for bench in (process, device):
        array = bench.place(BLOCKS[substrate])
        array.prepare(parameters(BLOCKS[substrate]))
        done = [
            array.update(drive, nudges, [Term(1, 2, True)], windows_s),
            array.update(drive, nudges, [Term(1, 0, True), Term(2, 0, False)], windows_s),
            array.update(drive, [], [Term(0, 0, False)], windows_s),
        ]
        found.append((done, array.wear(), array.settle(drive, nudges).nudged))
    (mine, my_wear, my_states), (theirs, their_wear, their_states) = found
    assert mine == theirs and my_wear == their_wear
    assert mine[-1].most == 4 and mine[-1].clipped == 0  # written once, updated three times
    for a, b in zip(sum(my_states, ()), sum(their_states, ()), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("substrate", SHEETS)
def test_cells_move_against_the_energy_of_the_first_phase_and_with_that_of_the_second(substrate):
    """By autograd of the published energy at the states that a settle of the same chip measures."""
    sheet, topology = sheet_with(substrate, **NOMINAL), BLOCKS[substrate]
    chip = Chip(sheet, 0, dtype=torch.float64)
    array = EmulatorBench(chip, "process").place(topology)
    held = parameters(topology)
    array.prepare(held)
    drive, nudges = (v.double() if isinstance(v, torch.Tensor) else [n.double() for n in v] for v in asked(topology))
    settled = array.settle(drive, nudges)
    leaves = {name: value.double().requires_grad_() for name, value in held.items()}
    windows_s = torch.linspace(1e-4, 8e-4, 7)
    by_energy = [
        (energy(topology, leaves, drive, states) * windows_s).sum() for states in (settled.nudged[0], settled.nudged[1])
    ]
    wanted = torch.autograd.grad(by_energy[1] - by_energy[0], list(leaves.values()))
    before = array.cell_parameters(1)
    array.update(drive, nudges, [Term(1, 2, True)], windows_s)
    after = array.cell_parameters(1)
    span = sheet.cells.span_s * sheet.neurons.transimpedance_ohm * (1 if substrate == "resistive" else 2)
    for name, gradient in zip(leaves, wanted, strict=True):
        moved = (after[name] - before[name]) / (span * sheet.update.rate_per_s)
        assert torch.cosine_similarity(moved.flatten(), gradient.flatten(), dim=0) > 0.99, name
        assert float(moved.norm() / gradient.norm()) == pytest.approx(1, rel=0.1), name


@pytest.mark.parametrize(
    ("circuit", "terms", "share"),
    [
        ({"bias": 0.2}, [Term(0, 0, True)], 0.2),
        ({"bias": 0.2}, [Term(0, 0, False)], -0.2),
        ({"bias": 0.2}, [Term(0, 0, True), Term(0, 0, False)], 0.0),
        ({"injection": 0.2}, [Term(0, 0, True), Term(0, 0, False)], 0.4),
        ({"bias": 0.2, "dead_zone": 0.15}, [Term(0, 0, True)], 0.05),
        ({"bias": 0.2, "dead_zone": 0.3}, [Term(0, 0, True)], 0.0),
        ({"bias": -0.2, "limit": 0.1}, [Term(0, 0, True)], -0.1),
    ],
)
@pytest.mark.parametrize("substrate", SHEETS)
def test_without_contrast_only_what_circuits_add_moves_cells(substrate, circuit, terms, share):
    sheet, topology = sheet_with(substrate, **(NOMINAL | circuit)), BLOCKS[substrate]
    chip = Chip(sheet, 0)
    array = EmulatorBench(chip, "process").place(topology)
    middle = {name: torch.zeros_like(value) + 0.5 * (name[0] == "w" and substrate == "resistive") for name, value in
              parameters(topology).items()}  # fmt: skip
    array.prepare(middle)
    before = [g.clone() for g in chip.conductances_s(0)]
    windows_s = torch.full((7,), 5e-4)
    array.update(asked(topology)[0], [], terms, windows_s)
    moved = [(g - b) / sheet.cells.span_s for g, b in zip(chip.conductances_s(0), before, strict=True)]
    for each in moved:
        assert each.double().numpy() == pytest.approx(share * sheet.update.rate_per_s * 7 * 5e-4, abs=1e-5)


@pytest.mark.parametrize("substrate", SHEETS)
def test_circuits_of_one_specimen_scatter_as_stated_and_stay(substrate):
    sheet = sheet_with(substrate, limit=None)
    topology = BLOCKS[substrate]

    def moved(seed, window_s):
        chip = Chip(sheet, seed, dtype=torch.float64)
        array = EmulatorBench(chip, "process").place(topology)
        array.prepare(parameters(topology))
        before = chip.conductances_s(0)[0].clone()
        array.update(asked(topology)[0].double(), [], [Term(0, 0, True)], torch.full((7,), window_s))
        return (chip.conductances_s(0)[0] - before) / sheet.cells.span_s / (7 * window_s * sheet.update.rate_per_s)

    # each run programs anew, so cells start elsewhere; their circuits are the same
    assert torch.allclose(moved(1, 1e-5), moved(1, 2e-5), atol=1e-3)
    assert not torch.allclose(moved(1, 1e-5), moved(2, 1e-5), atol=1e-2)
    offsets = torch.cat([moved(seed, 1e-5).flatten() for seed in range(20)])
    assert float(offsets.std()) == pytest.approx(0.05, rel=0.1) and abs(float(offsets.mean())) < 0.01


def test_what_a_host_may_not_ask_is_refused_before_anything_moves(open_crossbar):
    limits = {"this test": {"max_pulses_per_cell": 3.0}}
    crossbar, device = open_crossbar("self-updating", 1, Options(limits=limits))
    crossbar.configure(0, BLOCKS["hopfield"])
    crossbar.arm()
    drive, nudges = asked(BLOCKS["hopfield"])
    ampere = 1e-3
    drive_a, nudges_a = drive.double().numpy() * ampere, [n.double().numpy() * ampere for n in nudges]
    windows_s = np.full(7, 1e-4)
    term = [Term(1, 2, True)]
    before = device.chip.conductances_s(0)[0].clone()
    for words, arguments in {
        "windows": (drive_a, nudges_a, term, windows_s * 100),
        "7 windows": (drive_a, nudges_a, term, windows_s[:3]),
        "finite": (drive_a, nudges_a, term, windows_s * np.nan),
        "terms": (drive_a, nudges_a, [Term(3, 0, True)], windows_s),
        "nudges": (drive_a, [*nudges_a, nudges_a[0]], term, windows_s),
        "max_drive_a": (drive_a, [n * np.inf for n in nudges_a], term, windows_s),
    }.items():
        with pytest.raises(OutOfRange) as refused:
            crossbar.update(0, *arguments)
        assert words in str(refused.value) or "finite" in str(refused.value)
    assert torch.equal(device.chip.conductances_s(0)[0], before)
    assert int(device.chip.usage(0, 0, EVERYWHERE)[0].max()) == 0
    for _ in range(3):
        crossbar.update(0, drive_a, nudges_a, term, windows_s)
    moved = device.chip.conductances_s(0)[0].clone()
    assert not torch.equal(moved, before)
    with pytest.raises(BudgetSpent):
        crossbar.update(0, drive_a, nudges_a, term, windows_s)
    assert torch.equal(device.chip.conductances_s(0)[0], moved)


def test_a_chip_without_the_circuits_is_not_asked(open_crossbar):
    crossbar, _ = open_crossbar()
    crossbar.configure(0, BLOCKS["hopfield"])
    assert not crossbar.info.can(Capability.UPDATE)
    drive, nudges = asked(BLOCKS["hopfield"])
    with pytest.raises(OutOfRange, match="UPDATE"):
        crossbar.update(0, drive.double().numpy(), [n.double().numpy() for n in nudges], [Term(1, 2)], np.zeros(7))


def test_a_batch_beyond_the_chips_store_moves_cells_once_a_portion(open_both):
    process, device = open_both("self-updating", seed=3)
    topology = BLOCKS["hopfield"]
    drive, nudges = asked(topology, samples=150)
    found = []
    for bench in (process, device):
        array = bench.place(topology)
        array.prepare(parameters(topology))
        done = array.update(drive, nudges, [Term(1, 2)], torch.full((150,), 1e-4))
        found.append((done, array.settle(drive).free))
        assert done.most == 1 + 3  # 64, 64 and 22 samples
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))
