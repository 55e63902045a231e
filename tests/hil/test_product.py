"""Devices that only multiply: tiles against the plain product, noisy relaxation against the exact one."""

import itertools
import math
import threading

import pytest
import torch

from drivers.loopback import Loopback
from emulator import couplings, network
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.network import Stop
from emulator.neurons import ideal_neurons
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from emulator.serve import Doors
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil.conformance.suite import suite_of
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.emulate import open_board
from hil.counterparts.product import ProductBench
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import PlacementError

PLATFORMS = ("arc-two-32x32-like", "openmena-8x8-like")


def quiet(name, **product):
    """The platform with ideal converters."""
    sheet = load(name)
    dac = sheet.product.line_dac.model_copy(update={"bits": 0})
    adc = sheet.product.line_adc.model_copy(update={"bits": 0, "noise_sigma_a": 0.0, "low_a": -1.0, "high_a": 1.0})
    path = sheet.product.model_copy(update={"line_dac": dac, "line_adc": adc, **product})
    return sheet.model_copy(update={"product": path})


def parameters(topology, seed, scale=0.5):
    draw = torch.Generator().manual_seed(seed)
    sizes = [layer.units for layer in topology.layers]
    named = {}
    for index, (pre, post) in enumerate(itertools.pairwise(sizes)):
        named[f"weight_{index}"] = torch.randn(post, pre, generator=draw) * scale / pre**0.5
        named[f"bias_{index}"] = torch.randn(post, generator=draw) * 0.05
    return named


def placed(chip, topology, weights=None):
    """A block on a chip's tiles."""
    array = ProductBench(chip, "test").place(topology)
    if weights is not None:
        array.program(weights)
    return array


def matrix(chip, coupling, first=0):
    """What the tiles of a coupling, (rows, columns), really hold, G+ minus G-, siemens."""
    rows, columns = coupling
    down, across = chip.datasheet.fabric.cut(rows, columns)
    tiles = [chip.conductances_s(first + n)[0].double() for n in range(down * across)]
    return torch.cat([torch.cat([t[0] - t[1] for t in tiles[i * across :][:across]], 1) for i in range(down)])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", PLATFORMS)
def test_tiles_with_ideal_converters_add_up_to_the_plain_product(name, transposed):
    chip = Chip(quiet(name), 3)
    topology = dense_chain([45, 37])
    array = placed(chip, topology, parameters(topology, 1))
    volts = torch.rand(5, 37 if transposed else 46, dtype=torch.float64) * 0.05
    held = matrix(chip, (46, 37))
    want = volts @ (held.T if transposed else held)
    assert torch.allclose(array.multiply(0, volts, transposed).amps, want, rtol=1e-9, atol=1e-15)


def test_every_tile_is_converted_by_itself():
    sheet = quiet("openmena-8x8-like")
    adc = sheet.product.line_adc.model_copy(update={"bits": 4, "low_a": -1e-5, "high_a": 1e-5})
    chip = Chip(sheet.model_copy(update={"product": sheet.product.model_copy(update={"line_adc": adc})}))
    array = placed(chip, dense_chain([16, 1], bias=False), {"weight_0": torch.zeros(1, 16)})
    got = array.multiply(0, torch.zeros(1, 16), False).amps
    assert got.item() == pytest.approx(0.0, abs=1e-12)  # both planes round the same way, in both tiles


@pytest.mark.parametrize("transposed", [False, True])
def test_every_tile_has_line_converters_with_errors_of_their_own(transposed):
    sheet = quiet("openmena-8x8-like")
    errors = {"gain_error_sigma": 0.05}
    path = sheet.product
    path = path.model_copy(update={"line_dac": path.line_dac.model_copy(update=errors)})
    chip = Chip(sheet.model_copy(update={"product": path}), 1)
    topology = dense_chain([16, 16], bias=False)
    array = placed(chip, topology, {"weight_0": torch.full((16, 16), 0.3)})
    volts = torch.eye(16, dtype=torch.float64) * 0.05
    held = matrix(chip, (16, 16))
    gains = array.multiply(0, volts, transposed).amps / (0.05 * (held.T if transposed else held))
    tiles = gains.view(2, 8, 2, 8)  # driven tile, driven line, read tile, read line
    assert tiles.std() > 0.03
    assert torch.allclose(tiles, tiles[..., :1].expand_as(tiles), atol=1e-9)  # of the driven line, in each tile
    assert (tiles[:, :, 0, 0] - tiles[:, :, 1, 0]).abs().min() > 1e-6  # a tile's line is another one's neighbour only


@pytest.mark.parametrize("scale", [0.5, 0.8])
@pytest.mark.parametrize("name", PLATFORMS)
def test_no_sample_is_settled_farther_from_the_true_equilibrium_than_its_stated_error(name, scale):
    topology = dense_chain([24, 16, 8], slope=0.5)
    settled_share = []
    for seed in range(4):
        chip = Chip(load(name), seed)
        array = placed(chip, topology, parameters(topology, seed, scale))
        drive = torch.randn(40, 24, generator=torch.Generator().manual_seed(seed))
        settled = array.settle(drive)
        true = _equilibrium(chip, topology, drive, settled.free)
        report = settled.phases[0]
        distance = torch.stack(
            [(a - b).flatten(1).abs().amax(1) for a, b in zip(settled.free, true, strict=True)]
        ).amax(0)
        settled_share.append(float(report.settled.float().mean()))
        assert bool((distance <= report.residual)[report.settled].all())
    # strongly coupled: states that noise cannot tell from a plateau are not called settled
    assert min(settled_share) > (0.9 if scale < 0.6 else 0.3)


def _equilibrium(chip, topology, drive, start=None, nudge=None):
    """Of the weights that really are on the device, relaxed exactly; the one that a state belongs to where there are
    several."""
    ohm, first, matrices = chip.datasheet.neurons.transimpedance_ohm, 0, []
    for coupling in topology.couplings:
        shape = topology.cells(coupling)
        matrices.append(matrix(chip, shape, first) * ohm)
        first += math.prod(chip.datasheet.fabric.cut(*shape))
    built = couplings.build(
        topology, {i: m[:-1].T for i, m in enumerate(matrices)}, {i: m[-1] for i, m in enumerate(matrices)}
    )
    net = network.Network(topology, built, ideal_neurons(topology))
    begin = None if start is None else tuple(s.double() for s in start)
    more = None if nudge is None else nudge.double()
    return network.relax(net, drive.double(), more, start=begin, stop=Stop(5000, 1e-12)).states


@pytest.mark.parametrize("name", PLATFORMS)
def test_noisy_products_take_at_most_half_as_many_sweeps_more(name):
    topology = dense_chain([24, 16, 8], slope=0.5)
    noisy, exact = Chip(load(name), 1), Chip(quiet(name), 1)
    sweeps = []
    for chip in (noisy, exact):
        array = placed(chip, topology, parameters(topology, 1))
        sweeps.append(
            array.settle(torch.randn(32, 24, generator=torch.Generator().manual_seed(0))).phases[0].iterations
        )
    assert sweeps[0].float().mean() <= 1.5 * sweeps[1].float().mean()


def test_averaged_sweeps_come_closer_to_the_equilibrium():
    topology = dense_chain([24, 16], slope=0.5)
    chip = Chip(load("openmena-8x8-like"), 2)
    array = placed(chip, topology, parameters(topology, 2))
    drive = torch.randn(64, 24, generator=torch.Generator().manual_seed(5))
    true = _equilibrium(chip, topology, drive)
    errors = []
    for reads in (1, 8):
        free = array.settle(drive, reads=reads).free
        errors.append(torch.cat([(a - b).flatten() for a, b in zip(free, true, strict=True)]).std())
    assert errors[1] < errors[0]


def test_an_expanding_network_is_not_called_settled():
    topology = dense_chain([8, 8], slope=1.0)
    weights = {"weight_0": torch.eye(8) * 0.99, "bias_0": torch.zeros(8)}
    array = placed(Chip(quiet("openmena-8x8-like"), 0), topology, weights)
    report = array.settle(torch.full((2, 8), 1e-3)).phases[0]
    assert not bool(report.settled.any()) or bool((report.residual > 1e-3).all())


def test_more_tiles_than_the_bench_has_are_refused_with_the_count():
    with open_bench("emulator:openmena-8x8-like") as bench, pytest.raises(PlacementError, match="512 tiles of 8 x 8"):
        bench.place(dense_chain([1000, 500]))


def test_convolutions_are_refused():
    layers = (Layer(shape=(1, 4, 4)), Layer(shape=(2, 4, 4), clamped=False))
    topology = Topology(layers=layers, couplings=(Conv(pre=0, post=1),))
    with open_bench("emulator:arc-two-32x32-like") as bench, pytest.raises(PlacementError):
        bench.place(topology)


def test_products_and_tiles_are_counted():
    with open_bench("emulator:arc-two-32x32-like") as bench:
        array = bench.place(dense_chain([64, 40]))
        array.program(parameters(array.topology, 0))
        sweeps = int(array.settle(torch.zeros(3, 64)).phases[0].iterations.max())
        report = bench.report()
    assert report["tiles"] == 3 * 2
    assert report["products"] == 2 * 3 * sweeps


def test_a_restored_product_bench_goes_on_with_the_same_noise():
    topology = dense_chain([24, 16], slope=0.5)
    drive = torch.randn(4, 24, generator=torch.Generator().manual_seed(1))
    found = []
    with (
        open_bench("emulator:openmena-8x8-like?seed=5") as bench,
        open_bench("emulator:openmena-8x8-like?seed=5") as again,
    ):
        array = bench.place(topology)
        array.program(parameters(topology, 0))
        array.settle(drive)
        copy = again.place(topology)
        again.load_state_dict(bench.state_dict())
        for one in (array, copy):
            assert one.program(parameters(topology, 0)).written == 0
            found.append(one.settle(drive).free)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.fixture
def served():
    board = open_board("openmena-8x8-like", 3, Doors(tcp=0))
    worker = threading.Thread(target=board.run)
    worker.start()
    yield board.addresses[0]
    board.stop()
    worker.join(30)


def test_a_product_device_on_a_wire_relaxes_to_the_same_equilibrium(served, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path))
    topology = dense_chain([12, 9], slope=0.5)
    drive = torch.randn(6, 12, generator=torch.Generator().manual_seed(1))
    exact = ReferenceBench(Stop(500, 1e-9)).place(topology)
    exact.program(parameters(topology, 4))
    with open_bench(served) as bench:
        array = bench.place(topology)
        array.program(parameters(topology, 4))
        settled = array.settle(drive, [torch.full((6, 9), 0.1)])
        assert array.arrays == 2 * 2
    want = exact.settle(drive, [torch.full((6, 9), 0.1)])
    assert bool(settled.phases[0].settled.all())
    for got, true in ((settled.free, want.free), (settled.nudged[0], want.nudged[0])):
        # 1 % programming noise on 13 lines, three sigma, is what is between the two
        assert max(float((a - b).abs().max()) for a, b in zip(got, true, strict=True)) < 0.12


@pytest.mark.long
@pytest.mark.parametrize(("protocol", "endpoint"), [("serial", SerialEndpoint), ("scpi", ScpiEndpoint)])
def test_the_emulated_firmware_of_a_product_platform_conforms(protocol, endpoint):
    device = Device(Chip(load("openmena-8x8-like"), seed=1))
    result = suite_of(protocol).run(Loopback(endpoint(Machine(device), "loopback").feed))
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]


def test_states_beyond_one_unit_are_driven_within_the_read_limit():
    topology = Topology(
        layers=(Layer(shape=(12,), slope=0.5), Layer(shape=(6,), clamped=False)), couplings=(Dense(pre=0, post=1),)
    )
    chip = Chip(load("arc-two-32x32-like"), 2)
    array, driven = placed(chip, topology, parameters(topology, 3, scale=1.5)), []
    multiply = array.multiply
    array._relaxation._multiplier = Spy(lambda c, volts, t: driven.append(volts.abs().max()) or multiply(c, volts, t))
    drive = torch.randn(16, 12, generator=torch.Generator().manual_seed(1))
    settled = array.settle(drive, [torch.full((16, 6), 3.0)])
    true = _equilibrium(chip, topology, drive, nudge=torch.full((16, 6), 3.0))
    assert settled.nudged[0][1].abs().max() > 2
    assert max(driven) <= chip.datasheet.limits.max_read_v * (1 + 1e-6)
    for got, want in zip(settled.nudged[0], true, strict=True):
        report = settled.phases[1]
        assert ((got - want).abs().amax(1) <= report.residual)[report.settled].all()
    assert settled.phases[1].settled.float().mean() > 0.5


class Spy:
    def __init__(self, multiply):
        self.multiply = multiply
