"""Crossbars with resistive lines: hand-computed circuits, the approximation against the exact solve, sneak paths."""

import numpy as np
import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from emulator.wires import ladder, nodal
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.wires import Wires


def test_one_cell_is_three_resistors_in_series():
    g = nodal.transfer(np.array([[1e-3]]), Wires(row_ohm=10.0, column_ohm=20.0, terminal_ohm=5.0))
    assert g[0, 0] == pytest.approx(1 / (5 + 10 + 1000 + 20 + 5), rel=1e-12)


def test_one_row_of_two_cells_is_a_two_step_ladder():
    # port - 1 ohm - (cell 0) - 1 ohm - (cell 1), cells of 1 ohm to ground: v0 = 2/5, v1 = 1/5 of the input
    g = nodal.transfer(np.array([[1.0, 1.0]]), Wires(row_ohm=1.0))
    assert g == pytest.approx(np.array([[2 / 5, 1 / 5]]), rel=1e-12)


def test_one_column_is_read_at_its_last_row():
    # the cell nearer to the column's end delivers more
    g = nodal.transfer(np.array([[1.0], [1.0]]), Wires(column_ohm=1.0))
    assert g == pytest.approx(np.array([[1 / 5], [2 / 5]]), rel=1e-12)


def test_ideal_wires_leave_conductances_as_they_are():
    g = np.random.default_rng(1).uniform(1e-6, 1e-4, (5, 7))
    assert nodal.transfer(g, Wires()) == pytest.approx(g, rel=1e-12)
    assert nodal.transfer(g, Wires(terminal_ohm=1e-3)) == pytest.approx(g, rel=1e-5)


def test_admittance_is_symmetric_and_no_current_is_lost():
    g = np.random.default_rng(2).uniform(1e-6, 1e-4, (6, 4))
    y = nodal.port_admittance(g, Wires(row_ohm=3.0, column_ohm=7.0, terminal_ohm=11.0))
    assert y == pytest.approx(y.T, rel=1e-9, abs=1e-15)
    assert np.abs(y.sum(1)).max() < 1e-12 * np.abs(y).max()


def test_the_nodal_solve_equals_a_dense_one_node_by_node():
    rng, rows, columns, r = np.random.default_rng(3), 4, 3, 50.0
    g = rng.uniform(1e-5, 1e-3, (rows, columns))
    volts = rng.uniform(0, 1, rows)
    # unknowns: row node (i, j), then column node (i, j); Kirchhoff's current law written out for each
    a, b = np.zeros((24, 24)), np.zeros(24)
    row, column = (lambda i, j: i * columns + j), (lambda i, j: 12 + i * columns + j)
    for i in range(rows):
        for j in range(columns):
            for here, there in ((row(i, j), column(i, j)), (column(i, j), row(i, j))):
                a[here, here] += g[i, j]
                a[here, there] -= g[i, j]
            a[row(i, j), row(i, j)] += 1 / r
            if j == 0:
                b[row(i, 0)] += volts[i] / r
            else:
                a[row(i, j), row(i, j - 1)] -= 1 / r
                a[row(i, j - 1), row(i, j)] -= 1 / r
                a[row(i, j - 1), row(i, j - 1)] += 1 / r
            a[column(i, j), column(i, j)] += 1 / r
            if i < rows - 1:
                a[column(i, j), column(i + 1, j)] -= 1 / r
                a[column(i + 1, j), column(i, j)] -= 1 / r
                a[column(i + 1, j), column(i + 1, j)] += 1 / r
    nodes = np.linalg.solve(a, b)
    expected = [nodes[column(rows - 1, j)] / r for j in range(columns)]
    wires = Wires(row_ohm=r, column_ohm=r)
    assert volts @ nodal.transfer(g, wires) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("wires", [Wires(row_ohm=2.0, terminal_ohm=9.0), Wires(column_ohm=2.0)])
def test_the_approximation_is_exact_where_only_one_kind_of_line_resists(wires, monkeypatch):
    monkeypatch.setattr(ladder, "SWEEPS", 12)
    wires = wires.model_copy(update={"terminal_ohm": 0.0})
    g = np.random.default_rng(4).uniform(1e-6, 1e-4, (40, 30))
    seen = ladder.transfer(torch.from_numpy(g), wires).numpy()
    assert seen == pytest.approx(nodal.transfer(g, wires), rel=1e-6)


@pytest.mark.parametrize(
    ("size", "ohm", "g_max_s", "effect", "error"),
    [(64, 0.35, 25e-6, 0.013, 5e-5), (64, 1.0, 40e-6, 0.06, 1e-3), (128, 0.35, 25e-6, 0.051, 7e-4)],
)
def test_the_approximation_is_close_to_the_exact_solve(size, ohm, g_max_s, effect, error):
    """Relative to the whole matrix (Frobenius); the pcm and reram presets' wires."""
    g, wires = np.random.default_rng(5).uniform(0, g_max_s, (size, size)), Wires(row_ohm=ohm, column_ohm=ohm)
    exact = nodal.transfer(g, wires)
    seen = ladder.transfer(torch.from_numpy(g), wires).numpy()
    assert np.linalg.norm(g - exact) / np.linalg.norm(exact) == pytest.approx(effect, rel=0.1)
    assert np.linalg.norm(seen - exact) / np.linalg.norm(exact) < error


def sheet(**sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["fabric"] |= {"max_rows": 128, "max_columns": 128}
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


def programmed(datasheet, rows=6, columns=5):
    chip = Chip(datasheet, dtype=torch.float64)
    chip.configure(0, dense_chain([rows, columns], bias=False))
    generator = torch.Generator().manual_seed(0)
    chip.program(0, [torch.rand(2, rows, columns, generator=generator, dtype=torch.float64) * 1e-3])
    return chip


@pytest.mark.parametrize("method", ["exact", "ladder"])
def test_products_see_the_wires_in_both_directions(method):
    chip = programmed(sheet(wires={"row_ohm": 2.0, "column_ohm": 2.0, "method": method}))
    volts = torch.rand(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    g = chip.conductances_s(0)[0]
    wires = chip.datasheet.wires
    exact = [torch.from_numpy(nodal.transfer(p.numpy(), wires)) for p in g]
    forward = chip.product(0, 0, volts)
    assert torch.allclose(forward, volts @ (exact[0] - exact[1]), rtol=2e-3, atol=2e-7)
    back = chip.product(0, 0, forward[:, :5] * 1e3, transposed=True, plane=0)
    assert torch.allclose(back, forward * 1e3 @ exact[0].T, rtol=2e-3, atol=2e-7)
    assert not torch.allclose(forward, volts @ (g[0] - g[1]), rtol=2e-3, atol=2e-7)


def test_settled_states_see_the_wires():
    ideal, wired = programmed(sheet()), programmed(sheet(wires={"row_ohm": 20.0, "column_ohm": 20.0}))
    drive = torch.full((1, 6), 5e-6, dtype=torch.float64)
    states = [chip.settle(0, drive)[0].states_v[-1] for chip in (ideal, wired)]
    assert not torch.allclose(states[0], states[1], rtol=1e-3)


def test_a_floating_array_of_two_by_two_sneaks_through_the_other_three():
    # the sneak path is three cells in series beside the selected one
    g = np.array([[1e-3, 2e-3], [3e-3, 4e-3]])
    y = nodal.port_admittance(g, Wires())
    sneak = 1 / (1 / 2e-3 + 1 / 4e-3 + 1 / 3e-3)
    assert nodal.cell_current(y, 2, 0, 0, 0.5, "floating") == pytest.approx(0.5 * (1e-3 + sneak), rel=1e-9)
    assert nodal.cell_current(y, 2, 0, 0, 0.5, "grounded") == pytest.approx(0.5 * 1e-3, rel=1e-9)
    assert nodal.cell_current(y, 2, 0, 0, 0.5, "half") == pytest.approx(0.5 * 1e-3 + 0.25 * 3e-3, rel=1e-9)


@pytest.mark.parametrize("unselected", ["isolated", "floating", "grounded", "half"])
def test_measuring_a_passive_array_shows_its_sneak_paths(unselected):
    chip = programmed(sheet(wires={"unselected": unselected}))
    g = chip.conductances_s(0)[0][0]
    seen = chip.read(0, 0, (0, slice(None), slice(None)))
    if unselected in ("isolated", "grounded"):
        assert torch.allclose(seen, g, rtol=1e-9)
    elif unselected == "half":
        assert torch.allclose(seen, g + (g.sum(0) - g) / 2, rtol=1e-9)
    else:
        assert bool((seen > g * 1.01).all())


def test_lines_that_float_without_a_path_are_named():
    g = np.array([[1e-3, 1e-3, 0.0], [1e-3, 1e-3, 0.0], [0.0, 0.0, 1e-3]])
    y = nodal.port_admittance(g, Wires())
    with pytest.raises(nodal.FloatingLineError, match="line\\(s\\) 2, 5"):
        nodal.solve(y, {0: 1.0, 3: 0.0})
    volts, amps = nodal.solve(y, {0: 1.0, 3: 0.0, 5: 0.0})
    assert np.isfinite(volts).all()
    assert np.isfinite(amps).all()


def test_a_dead_line_does_not_keep_a_passive_array_from_being_measured():
    g = np.array([[1e-3, 2e-3, 0.0], [3e-3, 4e-3, 0.0]])
    y = nodal.port_admittance(g, Wires())
    sneak = 1 / (1 / 2e-3 + 1 / 4e-3 + 1 / 3e-3)
    assert nodal.cell_current(y, 2, 0, 0, 1.0, "floating") == pytest.approx(1e-3 + sneak, rel=1e-9)


def test_measured_currents_bend_with_the_voltage():
    chip = programmed(sheet(cells={"quadratic_per_v": 0.2, "cubic_per_v2": -0.25}))
    g = chip.conductances_s(0)[0]
    volts = torch.tensor([0.1, 0.5, -0.5], dtype=torch.float64)
    seen = chip.measure(0, 0, EVERYWHERE, volts)[:, 0]
    expected = volts + 0.2 * volts * volts.abs() - 0.25 * volts**3
    assert torch.allclose(seen, expected.view(-1, 1, 1, 1) * g, rtol=1e-9)
