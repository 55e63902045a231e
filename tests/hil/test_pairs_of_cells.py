"""Weights of several pairs of cells: both wires, firmware in C (PROTOCOL.md 7.1, 34 and 35)."""

import numpy as np
import pytest
import torch

from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.errors import ProtocolViolation
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from drivers.stated import credible
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import device_numbers
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability, Parameter
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware import board
from firmware_specs.messages import Region
from hil.counterparts.described import datasheet_of, disagreements
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench
from hil.learning.updates.residual import Residual

PAIRS, SIGNIFICANCE = 3, 0.5


def with_pairs(name="discrete-board", pulses=None, **cells):
    document = load(name).model_dump(mode="json", exclude_unset=True)
    document["cells"] |= {"pairs": PAIRS, "significance": SIGNIFICANCE} | cells
    document |= {} if pulses is None else {"pulses": pulses}
    return Datasheet.model_validate(document)


def crossbar_of(wire, sheet, seed=0):
    machine = Machine(Device(Chip(sheet, seed)))
    if wire == "serial":
        link = FramedLink(Loopback(SerialEndpoint(machine, "x").feed, "x"), owner="test")
        return Crossbar(Session(Framed(link), watchdog_s=60.0))
    return Crossbar(Session(Scpi(ScpiLink(Loopback(ScpiEndpoint(machine, "x").feed, "x"))), watchdog_s=60.0))


@pytest.mark.parametrize("wire", ["serial", "scpi"])
def test_pairs_are_told_written_pulsed_and_read_on_the_wire_as_in_process(wire):
    sheet = with_pairs("ideal", {"law": "soft_bounds", "step": 0.1, "amplitude_v": 1.0, "width_s": 1e-6})
    crossbar = crossbar_of(wire, sheet)
    assert crossbar.planes == 2 * PAIRS
    described = datasheet_of(crossbar.info, "x")
    assert described.cells.significances == (1.0, 0.5, 0.25)
    found = []
    with DeviceBench(crossbar, "x", sheet) as device:
        for bench in (EmulatorBench(Chip(sheet, 0), "test"), device):
            array = bench.place(dense_chain([6, 4], bias=False))
            array.prepare({"weight_0": torch.zeros(4, 6)})
            rule, draws = Residual(lr=5.0, transfer=1.0, search=4, every=1, slower=2).begin([array]), torch.Generator()
            for _ in range(4):
                rule.step([torch.ones(6, 4, dtype=torch.float64)], 1.0, draws.manual_seed(3))
            seen = [array.weights(0, slice(None), 1, pair) for pair in (0, 1, 2, None)]
            found.append((torch.stack(seen), array.wear()))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-3)
    assert found[0][1] == found[1][1]
    assert all(float(found[0][0][n].mean()) > 1 for n in (1, 2))  # the gradient, and what was read of it


def test_a_device_of_one_pair_says_nothing_of_it_and_what_cannot_be_is_refused():
    assert not {Parameter.PAIRS, Parameter.PAIR_SIGNIFICANCE} & set(device_numbers.parameters(load("ideal")))
    for wrong in ({34: 0.0}, {34: 2.5}, {34: 9.0}, {34: 2.0, 35: 0.0}, {34: 2.0, 35: 1.5}):
        with pytest.raises(ProtocolViolation, match="PAIR"):
            credible(wrong, Capability.DIFFERENTIAL, "x")
    with pytest.raises(ProtocolViolation, match="PAIRS is 2 without DIFFERENTIAL"):
        credible({34: 2.0, 35: 0.5}, Capability(0), "x")


@pytest.mark.parametrize(("pairs", "said"), [(1, []), (2, ["cells.significance: datasheet 0.5, device 0.25"])])
def test_a_significance_on_file_counts_where_there_are_pairs(pairs, said):
    on_file, device = (with_pairs("reram-few-levels", pairs=pairs, significance=s) for s in (0.5, 0.25))
    for other, expected in ((on_file, []), (device, said)):
        crossbar = crossbar_of("serial", other)
        with crossbar:
            assert disagreements(on_file, datasheet_of(crossbar.info, "x")) == expected


def test_the_board_in_c_has_as_many_pairs_as_its_datasheet(c_boards, tmp_path):
    text = (board.FOLDER / "board.toml").read_text().replace("programming_noise = 0.001", "programming_noise = 0.0")
    text = text.replace("[cells]\n", f"[cells]\npairs = {PAIRS}\nsignificance = {SIGNIFICANCE}\n")
    (tmp_path / "mine.toml").write_text(text)
    own = c_boards.folder / "pairs"
    own.mkdir()
    (own / "board.h").write_text(board.text(load(str(tmp_path / "mine.toml")), "mine.toml"))
    program = c_boards.make(f"COMMON=-std=c11 -I{own} -I. -Icore -Ichip", name="pairs")
    with c_boards.running(program / "board") as address, connect(address) as crossbar:
        assert crossbar.planes == 2 * PAIRS
        crossbar.configure(0, dense_chain([8, 1], bias=False))
        crossbar.arm()
        low, high = crossbar.g_range_s
        ohm, unit_v = (crossbar.info.parameter(p) for p in (Parameter.TRANSIMPEDANCE_OHM, Parameter.STATE_UNIT_V))
        outputs = []
        for pair in range(PAIRS):
            targets = np.full((2 * PAIRS, 8, 1), low)
            targets[2 * pair] = (low + high) / 2
            crossbar.program(0, [targets])
            measured = crossbar.settle(0, np.full((1, 8), 0.4 * unit_v / ohm), layers=[0, 1], reads=16)
            outputs.append(float(measured.states_v[1].ravel()[0] / measured.states_v[0].ravel().sum()))
        ratios = np.array(outputs[1:]) / outputs[0]
        np.testing.assert_allclose(ratios, [SIGNIFICANCE, SIGNIFICANCE**2], rtol=0.05)
        last = Region(0, 0, 2 * PAIRS - 1, 0, 8, 0, 1)
        before = crossbar.usage(last)[0].sum()
        crossbar.pulse(last, up=True, amplitude_v=3.0, width_s=1e-6, count=2)
        assert crossbar.usage(last)[0].sum() - before == 16
