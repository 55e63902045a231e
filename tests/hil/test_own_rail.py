"""Chips whose clamped neurons clip elsewhere than at one state unit: PROTOCOL.md 7.1 (33) and 7.5, both wires, mapping.

The chip here has a state unit of 0.25 V and neurons that clip at 1.5 V: slope 1 is a ReLU6.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.errors import ProtocolViolation
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from drivers.stated import credible
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.network import Stop
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import device_numbers
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability, Parameter
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware import board
from firmware_specs.messages import Term
from hil import EnergyBlock, Estimator, open_bench
from hil.conformance.suite import SCPI, SERIAL
from hil.counterparts.described import datasheet_of
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.mapping import Mapping
from hil.counterparts.opening.wire import links_of
from hil.experiments.experiment_file import load as load_experiment
from hil.learning.gradients.baseline import Implicit
from hil.learning.model import ModelError, build
from hil.measuring.calibrate.bench import CalibratedArray
from hil.measuring.calibrate.entries import LayerEntry
from hil.measuring.calibrate.measure import measure_array

SIZES = [5, 7, 4]
UNIT_V, RAIL = 0.25, 6.0


def changed(name, neurons, **sections):
    """A shipped datasheet with other keys, read as a file is."""
    document = load(name).model_dump(mode="json", exclude_unset=True)
    for section, keys in {"neurons": neurons, **sections}.items():
        document[section] |= keys
    return Datasheet.model_validate(document)


def exact_sheet(rail_v=UNIT_V * RAIL):
    exact = {"tolerance": 1e-9, "max_iterations": 500}
    return changed("ideal", {"state_unit_v": UNIT_V, "clamped_high_v": rail_v}, settle=exact)


def noisy_sheet(name="discrete-board"):
    """Converters that reach the rail."""
    reach = {"low_v": -0.2, "high_v": 1.7}
    return changed(name, {"state_unit_v": UNIT_V, "clamped_high_v": 1.5}, state_adc=reach)


def crossbar_of(wire, sheet, seed=0):
    machine = Machine(Device(Chip(sheet, seed)))
    if wire == "serial":
        return Crossbar(
            Session(Framed(FramedLink(Loopback(SerialEndpoint(machine, "x").feed, "x"), owner="test")), watchdog_s=60.0)
        )
    return Crossbar(Session(Scpi(ScpiLink(Loopback(ScpiEndpoint(machine, "x").feed, "x"))), watchdog_s=60.0))


def block_of(bench, rail, rule=None):
    torch.manual_seed(3)
    topology = dense_chain(SIZES, slope=1.0, rail=rail)
    block = EnergyBlock(topology, bench, rule or Estimator(beta=1e-3, auto_range=False), observer=lambda settled: None)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.6)
    return block.double()


def drives(rail):
    """Some neurons of the first layer rest at 0, some at the rail, most between."""
    drawn = torch.rand(12, SIZES[0], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return (drawn - 0.2) * 1.4 * rail


def gradient(block, rail):
    drive = drives(rail).requires_grad_()
    loss = functional.cross_entropy(block(drive), torch.arange(len(drive)) % SIZES[-1])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [drive, *block.parameters()])])


@pytest.mark.parametrize("rail", [6.0, 1.0, 2.5])
def test_a_block_of_any_rail_has_the_states_and_gradients_of_the_reference(rail):
    bench = EmulatorBench(Chip(exact_sheet(), 0, dtype=torch.float64), "test")
    reference, block = (
        block_of(open_bench("reference:", stop=Stop(2000, 1e-13)), rail, Implicit()),
        block_of(bench, rail),
    )
    for one in (reference, block):
        one.program()
    wanted, seen = reference.settle(drives(rail)), block.settle(drives(rail))
    assert all(torch.allclose(a, b, atol=1e-4 * rail) for a, b in zip(wanted.free, seen.free, strict=True))
    assert float(seen.free[0].max()) == pytest.approx(rail) and float(seen.free[0].min()) == 0
    held = block.array.cell_parameters(1)
    assert torch.allclose(held["bias_0"].double(), block.get_parameter("bias_0"), atol=1e-3)
    found, exact = gradient(block, rail), gradient(reference, rail)
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def test_a_block_of_the_chips_own_rail_goes_there_unit_for_unit():
    sheet = exact_sheet()
    own, narrow = Mapping(sheet, RAIL), Mapping(sheet, 1.0)
    assert (own.stretch, own.state_unit_v) == (1.0, UNIT_V)
    assert (narrow.stretch, narrow.state_unit_v) == (1 / RAIL, UNIT_V * RAIL)
    assert own.ranges.bias == own.ranges.weight and narrow.ranges.weight == own.ranges.weight
    assert narrow.ranges.bias[1] == pytest.approx(own.ranges.bias[1] / RAIL)


@pytest.mark.parametrize("wire", ["serial", "scpi"])
def test_a_device_says_its_rail_on_the_wire_and_settles_as_in_process(wire):
    sheet = noisy_sheet()
    crossbar = crossbar_of(wire, sheet)
    assert crossbar.info.parameter(Parameter.CLAMPED_HIGH_V) == 1.5
    described = datasheet_of(crossbar.info, "x")
    assert described.neurons.rail == RAIL
    found = []
    with DeviceBench(crossbar, "x", described) as device:
        for bench in (EmulatorBench(Chip(sheet, 0), "test"), device):
            block = block_of(bench, RAIL).float()
            block.program()
            settled = block.settle(drives(RAIL).float())
            found.append(torch.cat([state.flatten() for state in settled.free]))
    assert torch.allclose(*found, atol=1e-6)
    assert 5.5 < float(found[0].max()) < 6.5


def test_a_device_without_a_rail_of_its_own_says_nothing_of_it():
    assert Parameter.CLAMPED_HIGH_V not in device_numbers.parameters(load("ideal"))
    assert device_numbers.parameters(exact_sheet())[Parameter.CLAMPED_HIGH_V] == 1.5
    for wrong in (0.0, -1.5):
        with pytest.raises(ProtocolViolation, match="CLAMPED_HIGH_V is"):
            credible({33: wrong}, Capability(0), "x")


@pytest.mark.parametrize(
    ("name", "sections", "said"),
    [
        (
            "discrete-board",
            {"neurons": {"clamped_high_v": 2.5}},
            "state_adc: range .* is narrower than the state rails",
        ),
        ("arc-two-32x32-like", {"neurons": {"clamped_high_v": 0.1}}, "clamped_high_v: a device that multiplies has no"),
        ("resistive-board", {"neurons": {"clamped_high_v": 1.0}}, "clamped_high_v: a resistive node"),
        ("ideal", {"neurons": {"clamped_high_v": 0.0}}, "clamped_high_v"),
    ],
)
def test_a_rail_that_cannot_be_is_refused_in_a_sentence(name, sections, said):
    with pytest.raises(ValueError, match=said):
        changed(name, **sections)


GROUPS = ["settle", "identity", "updates"]


@pytest.mark.parametrize("name", ["discrete-board", "self-updating"])
def test_firmware_with_a_rail_of_its_own_conforms(name):
    machine = Machine(Device(Chip(noisy_sheet(name), 1)))
    result = SERIAL.run(Loopback(SerialEndpoint(machine, "x").feed), SERIAL.select(GROUPS))
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    passed = {o.check.name for o in result.outcomes if o.verdict == "passed"}
    assert {"settle.transfer", "settle.weights", "settle.bias", "identity.parameters"} <= passed


def test_scpi_firmware_with_a_rail_of_its_own_conforms():
    machine = Machine(Device(Chip(noisy_sheet(), 1)))
    found = SCPI.run(
        Reopenable(links_of(machine, "loopback", "scpi")), SCPI.select(["settle", "identity"]), patience_s=0.5
    )
    assert found.conforms, [(o.check.name, o.seen) for o in found.outcomes if o.verdict == "failed"]


def test_firmware_that_states_a_rail_and_clips_elsewhere_is_found():
    chip = Chip(changed("discrete-board", {"state_unit_v": UNIT_V}, state_adc={"low_v": -0.2, "high_v": 1.7}), 1)
    device = Device(chip)
    device.sheet = noisy_sheet()  # what it says; the chip clips at 0.25 V
    result = SERIAL.run(Loopback(SerialEndpoint(Machine(device), "x").feed), SERIAL.select(["settle"]))
    failed = {o.check.name: o.seen for o in result.outcomes if o.verdict == "failed"}
    assert "settle.transfer" in failed


def crooked_sheet():
    """Neurons with large offsets, all else exact."""
    crooked = {"offset_mismatch_sigma_v": 0.03}
    return changed("ideal", {"state_unit_v": UNIT_V, "clamped_high_v": 1.5} | crooked, cells={"g_max_s": 2e-5})


def test_calibration_finds_the_offsets_in_units_of_the_rail_and_corrects_blocks_by_theirs():
    topology = dense_chain([4, 3], clamp_last=True, rail=RAIL)
    chip = Chip(crooked_sheet(), 3)
    chip.configure(0, topology.in_rails())
    with crossbar_of("serial", crooked_sheet(), 3) as crossbar:
        found = measure_array(crossbar, 0, topology)
    for number, layer in enumerate(found.layers):
        circuits = chip.arrays[0].wiring.neurons[number]
        offset = -circuits.offset.numpy() / RAIL
        assert np.allclose(layer.offset, offset, atol=3e-3), number
        assert np.allclose(layer.gain, 1.0, atol=1e-2), number
    entries = {n: LayerEntry.of(n, layer, found.steps[n]) for n, layer in enumerate(found.layers)}
    bench = EmulatorBench(Chip(crooked_sheet(), 3), "test")
    exact = open_bench("reference:").place(topology)
    draw = torch.Generator().manual_seed(4)
    parameters = {"weight_0": torch.rand(3, 4, generator=draw) * 0.4, "bias_0": torch.tensor([0.5, 1.0, -0.5])}
    drive = torch.rand(6, 4, generator=draw) * 4 + 0.5
    plain = bench.place(topology)
    off = []
    for array in (plain, CalibratedArray(plain, entries)):
        array.program(parameters)
        off.append(float((array.settle(drive).free[1] - settled(exact, parameters, drive)).abs().max()))
    assert off[0] > 0.1 and off[0] > 5 * off[1]


def settled(array, parameters, drive):
    array.program(parameters)
    return array.settle(drive).free[1]


def test_a_chip_that_updates_itself_takes_blocks_of_its_own_rail_and_names_it_otherwise():
    sheet = noisy_sheet("self-updating")
    still = sheet.update.model_copy(update={"gain_spread": 0.0, "bias_spread": 0.0, "limit": None})
    quiet = {"gain_mismatch_sigma": 0.0, "offset_mismatch_sigma_v": 0.0}
    sheet = sheet.model_copy(update={"update": still, "neurons": sheet.neurons.model_copy(update=quiet)})
    learning = load_experiment("xor-cells", ["rail=6.0", "slope=1.0", "update.kind=device"])
    model = build(learning, EmulatorBench(Chip(sheet, 0), "test"), (2,), 2)
    array = model.block_1.energy.array
    array.prepare({n: p.detach() * 0.5 for n, p in model.block_1.energy.named_parameters()})
    drive = torch.rand(1, *array.topology.drive_shape, generator=torch.Generator().manual_seed(2)) * 4
    nudge = torch.full((1, *array.topology.nudge_shape), 0.3)
    up, down = array.settle(drive, [nudge, -nudge], reads=16).nudged
    before = array.cell_parameters(64)
    window_s = 4e-4
    array.update(drive, [nudge, -nudge], [Term(1, 2, True)], torch.tensor([window_s]))
    moved = {n: (v - before[n]).double() for n, v in array.cell_parameters(64).items()}
    outer = up[1][:, :, None] * up[0][:, None, :] - down[1][:, :, None] * down[0][:, None, :]
    expected = outer[0].double() * array.update_unit() * window_s
    weight, bias = moved["weight_0"].flatten(), moved["bias_0"]
    assert float(functional.cosine_similarity(weight, expected.flatten(), 0)) > 0.95
    assert float(weight.norm() / expected.norm()) == pytest.approx(1, abs=0.2)
    share = (up[1] - down[1])[0].double() * array.update_unit() * window_s
    assert float(functional.cosine_similarity(bias, share, 0)) > 0.95
    with pytest.raises(ModelError, match=r"own states, of rail 6, the block's has 1: set rail = 6"):
        build(load_experiment("xor-cells", ["update.kind=device"]), EmulatorBench(Chip(sheet, 0), "test"), (2,), 2)


def test_the_board_header_carries_the_rail():
    sheet = load(str(board.FOLDER / "board.toml"))
    neurons = sheet.neurons.model_copy(update={"state_unit_v": 0.25, "clamped_high_v": 1.0})
    assert "{PARAM_CLAMPED_HIGH_V, 1.0}" in board.text(sheet.model_copy(update={"neurons": neurons}), "own")
    assert "CLAMPED_HIGH_V" not in board.text(sheet, "board.toml")


def test_the_board_in_c_clips_where_its_header_says(c_boards, tmp_path):
    """State unit 0.25 V, rail 1 V: driven beyond it, below it, and in between."""
    text = (board.FOLDER / "board.toml").read_text()
    text = text.replace("state_unit_v = 1.0", "state_unit_v = 0.25\nclamped_high_v = 1.0")
    (tmp_path / "own.toml").write_text(text)
    folder = c_boards.folder / "own-rail"
    folder.mkdir()
    (folder / "board.h").write_text(board.text(load(str(tmp_path / "own.toml")), "own.toml"))
    program = c_boards.make(f"COMMON=-std=c11 -I{folder} -I. -Icore -Ichip", name="own-rail")
    with c_boards.running(program / "board") as address, connect(address) as crossbar:
        assert datasheet_of(crossbar.info, address).neurons.rail == 4.0
        crossbar.configure(0, dense_chain([4, 1]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 5, 1), 1e-5)])
        amperes = np.array([[-1.0, 0.2, 0.6, 3.0]]) / 1e3  # a drive of 1 mA is 1 V behind 1 kOhm
        volts = crossbar.settle(0, amperes, layers=[0]).states_v[0][0]
    assert np.allclose(volts, [[0.0, 0.2, 0.6, 1.0]], atol=5e-3)
