"""Neurons that clip elsewhere than at 1, ReLU6 among them: exact gradients, the same states on a chip, refusals."""

import pytest
import torch
from torch.nn import functional

from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.network import Stop
from emulator.scpi import ScpiEndpoint
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.datasheet import load
from firmware_specs.messages import pack_topology
from firmware_specs.topology import Dense, Layer, Topology, TopologyError
from hil import EnergyBlock, Estimator, open_bench
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.product import ProductBench
from hil.counterparts.seam import PlacementError
from hil.experiments.experiment_file import load as load_experiment
from hil.learning.gradients.baseline import Implicit
from hil.learning.model import ModelError, build

SIZES = [5, 7, 4]
RAIL = 6.0


def block_of(bench, rule=None, rail=RAIL, slope=1.0):
    torch.manual_seed(3)
    topology = dense_chain(SIZES, slope=slope, rail=rail)
    block = EnergyBlock(topology, bench, rule or Estimator(beta=1e-3, auto_range=False), observer=lambda settled: None)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.6)
    return block.double()


def drives(samples=12):
    """Some first-layer neurons rest at 0, some at the rail of 6, most between."""
    return (torch.rand(samples, SIZES[0], dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 0.2) * 8


def gradient(block, drive):
    drive = drive.clone().requires_grad_()
    loss = functional.cross_entropy(block(drive), torch.arange(len(drive)) % SIZES[-1])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [drive, *block.parameters()])])


def test_a_neuron_of_slope_one_and_rail_six_is_relu6():
    block = block_of(open_bench("reference:", stop=Stop(500, 1e-12)))
    drive, named = drives(), dict(block.named_parameters())
    block.program()
    first, hidden, last = block.settle(drive).free
    back = functional.linear(hidden, named["weight_0"].T)
    assert torch.allclose(first, functional.relu6(drive + back), atol=1e-9)
    up = functional.linear(first, named["weight_0"], named["bias_0"])
    assert torch.allclose(hidden, functional.relu6(up + functional.linear(last, named["weight_1"].T)), atol=1e-9)
    assert (first == 0).any() and (first == RAIL).any() and ((first > 1) & (first < RAIL)).any()


@pytest.mark.parametrize(("slope", "rail"), [(1.0, 6.0), (0.5, 2.0), (0.8, 0.3)])
def test_gradients_are_those_of_implicit_differentiation(slope, rail):
    bench = open_bench("reference:", stop=Stop(2000, 1e-13))
    found, exact = (gradient(block_of(bench, rule, rail, slope), drives()) for rule in (None, Implicit()))
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def exact_chip():
    """One that settles, without errors of its own."""
    sheet = load("ideal")
    settle = sheet.settle.model_copy(update={"tolerance": 1e-9, "max_iterations": 500})
    return EmulatorBench(Chip(sheet.model_copy(update={"settle": settle}), 0, dtype=torch.float64), "test")


def test_a_chip_whose_neurons_clip_at_one_settles_to_the_same_states_and_gradients():
    reference, block = block_of(open_bench("reference:", stop=Stop(2000, 1e-13))), block_of(exact_chip())
    for one in (reference, block):
        one.program()
    wanted, seen = reference.settle(drives()), block.settle(drives())
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(wanted.free, seen.free, strict=True))
    held = block.array.cell_parameters(1)
    assert torch.allclose(held["bias_0"].double(), block.get_parameter("bias_0"), atol=1e-3)
    found, exact = gradient(block, drives()), gradient(reference, drives())
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def test_a_product_chip_relaxes_with_the_rail_on_the_host(multiplying_exactly):
    bench = ProductBench(Chip(multiplying_exactly(load("arc-two-32x32-like"), 1e-7, 200), 1), "test")
    reference = block_of(open_bench("reference:", stop=Stop(2000, 1e-13)))
    block = block_of(bench)
    reference.load_state_dict(block.state_dict())  # what the cells can hold
    for one in (reference, block):
        one.program()
    wanted, seen = reference.settle(drives()), block.settle(drives())
    assert all(torch.allclose(a, b, atol=2e-2) for a, b in zip(wanted.free, seen.free, strict=True))
    assert float(seen.free[0].max()) == pytest.approx(RAIL, abs=1e-6)


def test_a_device_behind_a_wire_is_told_of_rails_of_one_only():
    topology = dense_chain(SIZES, rail=RAIL)
    with pytest.raises(ValueError, match=r"in_rails\(\)"):
        pack_topology(topology)
    machine = Machine(Device(Chip(load("ideal"), seed=0)))
    crossbar = Crossbar(Session(Scpi(ScpiLink(Loopback(ScpiEndpoint(machine, "x").feed, "x"))), watchdog_s=60.0))
    with pytest.raises(OutOfRange, match="rails of 1"):
        crossbar.configure(0, topology)
    crossbar.configure(0, topology.in_rails())
    assert crossbar.session.call(lambda device: device.topology(0)) == dense_chain(SIZES)
    assert "rail" not in topology.in_rails().model_dump_json()


def test_rails_that_no_unit_serves_are_refused_by_name():
    layers = (Layer(shape=(3,), rail=2.0), Layer(shape=(2,), rail=6.0))
    mixed = Topology(layers=layers, couplings=(Dense(pre=0, post=1),))
    assert mixed.rails == (2.0, 6.0)
    with pytest.raises(ValueError, match="different rails, 2, 6"):
        mixed.in_rails()
    for name in ("ideal", "mixed-8bit"):
        with open_bench(f"emulator:{name}") as bench, pytest.raises(PlacementError, match="different rails, 2, 6"):
            bench.place(mixed)
    open_bench("reference:").place(mixed)
    node = resistive_chain(4, [3]).layers[0].model_copy(update={"rail": 2.0})
    with pytest.raises(TopologyError, match="no rail of their own"):
        Topology(substrate="resistive", source=(4,), layers=(node,), couplings=(Dense(pre=-1, post=0),))


def test_an_experiment_states_rails_and_a_chip_that_updates_itself_refuses_them():
    experiment = load_experiment("xor-cells", ["rail=6.0", "slope=1.0"])
    model = build(experiment, open_bench("reference:"), (2,), 2)
    assert model.block_1.energy.topology.rails == (6.0,)
    learning = load_experiment("xor-cells", ["rail=6.0", "update.kind=device"])
    with open_bench("emulator:self-updating") as bench, pytest.raises(ModelError, match="rail 1"):
        build(learning, bench, (2,), 2)
