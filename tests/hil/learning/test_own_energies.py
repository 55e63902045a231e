"""Energies from outside the package: settled, checked against implicit differentiation, trained, refused on chips."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from firmware_specs.registry import lookup, modules
from firmware_specs.registry.kinds import KINDS
from hil import EnergyBlock, Estimator, open_bench
from hil.cli import main
from hil.counterparts.seam import PlacementError
from hil.learning.energies.minimize import conjugate_gradients, minimize
from hil.learning.gradients.baseline import Implicit

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
NAMES = ("tanh", "attention", "resistor_graph")
SETTINGS = {"tanh": "units=[12, 10]", "attention": "patterns=16", "resistor_graph": "outputs=10"}


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})
    yield
    for name in NAMES:
        sys.modules.pop(f"{name}_energy", None)


def hil(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


def energy_of(name, **settings):
    modules.plugin(f"{name}_energy")
    return lookup.find("energies", name)(**settings)


def experiment(tmp_path, name, text=""):
    path = tmp_path / f"{name}.toml"
    path.write_text(
        f"""
        loss = "mse"
        [data]
        name = "digits"
        train_samples = 100
        test_samples = 20
        [[blocks]]
        feedforward = [{{kind = "flatten"}}, {{kind = "linear", units = 16}}]
        energy = {{kind = "{name}", {SETTINGS[name]}}}
        [settle]
        tolerance = 1e-5
        [optimizer]
        lr = 0.05
        [run]
        epochs = 3
        batch = 20
        {text}
        """,
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_of_an_energy_of_ones_own(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hil.report.gradcheck.write_picture", lambda *_: None)  # as much again, and nobody looks at it
    path, out = experiment(tmp_path, name), tmp_path / "check.json"
    hil(
        [
            "gradcheck",
            str(path),
            "--plugin",
            f"{name}_energy",
            "--beta",
            "1e-3",
            "--samples",
            "8",
            "--picture",
            str(tmp_path / "p.png"),
            "--json",
            str(out),
        ]
    )
    found = json.loads(out.read_text())
    assert found["min_cosine"] >= 0.9999
    assert found["max_norm_error"] < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_training_through_the_same_block_learns(name, tmp_path, capsys):
    run = tmp_path / "run"
    hil(["train", str(experiment(tmp_path, name)), "--plugin", f"{name}_energy", "--run-dir", str(run)])
    epochs = [r for r in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if r["kind"] == "epoch"]
    assert epochs[-1]["loss"] < 0.9 * epochs[0]["loss"]


def test_a_run_without_the_plugin_says_how_to_name_it(python, tmp_path):
    call = ["-m", "hil", "train", experiment(tmp_path, "tanh"), "--run-dir", tmp_path / "r"]
    done = python.run(call, capture_output=True)
    assert done.returncode == 2
    assert "blocks.0.energy.kind: 'tanh' is not an energy; known: crossbar" in done.stderr


def test_settings_of_ones_own_are_checked_by_their_class(tmp_path, capsys):
    path = experiment(tmp_path, "tanh")
    path.write_text(path.read_text().replace("units=", "unitz="))
    with pytest.raises(SystemExit) as ended:
        main(["train", str(path), "--plugin", "tanh_energy", "--run-dir", str(tmp_path / "r")])
    assert ended.value.code == 2
    assert "blocks.0.energy.unitz: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["emulator:ideal?seed=1", "emulator:mixed-8bit"])
def test_a_chip_refuses_what_is_no_crossbar_network_in_words(address):
    energy = energy_of("tanh", units=(4,), drive_shape=(3,))
    with (
        open_bench(address) as bench,
        pytest.raises(PlacementError, match=r"the energy Tanh is none: settle it on ref"),
    ):
        EnergyBlock(energy, bench)


def test_states_at_rest_are_those_of_the_textbook():
    torch.manual_seed(1)
    energy = energy_of("tanh", units=(5,), drive_shape=(7,), gain=0.4)
    with open_bench("reference:") as bench:
        block = EnergyBlock(energy, bench).double()
        drive = torch.randn(6, 7, dtype=torch.float64)
        settled = block.settle(drive) if block.program() is None else None
    first, last = settled.free
    weight = block.weight_0.detach()
    torch.testing.assert_close(first, torch.tanh(0.4 * (drive + last @ weight)), atol=1e-6, rtol=0)
    torch.testing.assert_close(last, torch.tanh(0.4 * first @ weight.T), atol=1e-6, rtol=0)
    assert bool(settled.phases[0].settled.all())


def test_contrast_of_a_crossbar_by_autograd_is_its_closed_form():
    from hil import dense_chain
    from hil.learning.energies import Crossbar, Energy

    torch.manual_seed(2)
    own = Crossbar.of(dense_chain([6, 4, 3], slope=0.5))
    parameters = {name: value.double() for name, value in own.initial().items()}
    draw = lambda *shape: torch.rand(5, *shape, dtype=torch.float64)  # noqa: E731
    phases = [tuple(draw(*shape) for shape in own.layers) for _ in range(2)]
    weights = [draw(), -draw()]
    closed = own.contrast(parameters, draw(6), phases, weights)
    by_autograd = Energy.contrast(own, parameters, draw(6), phases, weights)
    torch.testing.assert_close(closed[0], by_autograd[0])
    torch.testing.assert_close(closed[1], by_autograd[1])


def test_bounds_of_parameters_hold_after_a_step():
    torch.manual_seed(3)
    energy = energy_of("resistor_graph", drive_shape=(4,))
    with open_bench("reference:") as bench:
        block = EnergyBlock(energy, bench)
        optimizer = torch.optim.SGD(block.parameters(), 1e6)
        block(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        block.project()
    assert bool((block.conductance >= 0).all())


def test_coupled_learning_holds_the_outputs_of_any_energy():
    from hil.learning.gradients.coupled import Coupled

    torch.manual_seed(4)
    with open_bench("reference:") as bench:
        block = EnergyBlock(energy_of("resistor_graph", drive_shape=(4,)), bench, Coupled(eta=1e-3)).double()
        block(torch.randn(8, 4, dtype=torch.float64)).square().sum().backward()
    assert math.isfinite(float(block.conductance.grad.norm())) and float(block.conductance.grad.norm()) > 0


def test_a_flat_minimum_is_refused_by_implicit_differentiation():
    from dataclasses import dataclass

    from hil import Energy
    from hil.learning.gradients.baseline import AdjointError

    @dataclass(frozen=True, kw_only=True)
    class Flat(Energy):
        @property
        def layers(self):
            return ((2,),)

        def initial(self):
            return {"weight": torch.ones(2)}

        def energy(self, parameters, drive, states):
            return ((states[0] @ parameters["weight"] - drive[:, 0]) ** 2) / 2

    with open_bench("reference:") as bench:
        block = EnergyBlock(Flat(drive_shape=(1,)), bench, Implicit()).double()
        loss = (block(torch.ones(3, 1, dtype=torch.float64)) * torch.tensor([1.0, -1.0])).sum()
        with pytest.raises(AdjointError, match="3 of 3 samples is not solved: the minimum of Flat is flat there"):
            loss.backward()


def test_a_nudge_that_follows_the_state_is_refused_for_an_energy_of_ones_own():
    with open_bench("reference:") as bench:
        block = EnergyBlock(energy_of("attention", drive_shape=(4,)), bench)
        block.program()
        with pytest.raises(PlacementError, match=r"takes constant nudges"):
            block.settle(torch.ones(2, 4), [lambda s: s])


def test_one_sided_estimates_agree_with_centered_ones():
    torch.manual_seed(5)
    drive, found = torch.randn(6, 8, dtype=torch.float64), []
    for kind in ("centered", "positive"):
        torch.manual_seed(6)
        with open_bench("reference:") as bench:
            block = EnergyBlock(energy_of("attention", drive_shape=(8,)), bench, Estimator(kind, beta=1e-4)).double()
            block(drive).square().sum().backward()
        found.append(block.memory.grad)
    torch.testing.assert_close(*found, rtol=1e-2, atol=1e-3)


class TestMinimizer:
    """Known minima, rails, saddles; a batch gives what its samples give alone."""

    @staticmethod
    def run(energy, start, low=-math.inf, high=math.inf, most=100):
        n = start.shape[1]
        limits = (torch.full((n,), float(v), dtype=start.dtype) for v in (low, high))
        return minimize(energy, start, *limits, torch.zeros(n, dtype=torch.bool), tolerance=1e-9, most=most)

    def test_a_quadratic_is_solved_in_a_handful_of_steps(self):
        torch.manual_seed(0)
        a = torch.randn(8, 8, dtype=torch.float64)
        matrix, right = a @ a.T + torch.eye(8), torch.randn(4, 8, dtype=torch.float64)
        quadratic = lambda s: torch.einsum("bi,ij,bj->b", s, matrix, s) / 2 - (right * s).sum(1)  # noqa: E731
        found = self.run(quadratic, torch.zeros(4, 8).double())
        torch.testing.assert_close(found.states, torch.linalg.solve(matrix, right.T).T)
        assert bool(found.settled.all()) and int(found.iterations.max()) <= 12

    def test_rails_hold_and_the_rest_minimizes_between_them(self):
        found = self.run(lambda s: ((s - 3) ** 2).sum(1) + s[:, 0] * s[:, 1], torch.zeros(1, 2).double(), 0.0, 1.0)
        torch.testing.assert_close(found.states, torch.ones(1, 2, dtype=torch.float64))

    def test_negative_curvature_is_left_downhill(self):
        start = torch.full((1, 1), 0.1, dtype=torch.float64)
        found = self.run(lambda s: (s**4 / 4 - s**2 / 2).sum(1), start)
        torch.testing.assert_close(found.states, torch.ones(1, 1, dtype=torch.float64))

    def test_what_has_no_minimum_is_not_settled(self):
        found = self.run(lambda s: -s.sum(1), torch.zeros(2, 1).double(), most=5)
        assert not bool(found.settled.any())

    def test_samples_do_not_depend_on_their_batch(self):
        torch.manual_seed(1)
        start = torch.randn(5, 3, dtype=torch.float64)
        rosenbrock = lambda s: ((1 - s) ** 2).sum(1) + 20 * (s[:, 1:] - s[:, :-1] ** 2).square().sum(1)  # noqa: E731
        together = self.run(rosenbrock, start).states
        alone = torch.cat([self.run(rosenbrock, row[None]).states for row in start])
        torch.testing.assert_close(together, alone, atol=1e-7, rtol=0)

    def test_conjugate_gradients_solve_per_sample(self):
        scale = torch.tensor([[1.0, 4.0], [2.0, 0.5]], dtype=torch.float64)
        right = torch.ones(2, 2, dtype=torch.float64)
        found = conjugate_gradients(lambda v: scale * v, right, torch.full((2,), 1e-12).double())
        torch.testing.assert_close(found, right / scale)
