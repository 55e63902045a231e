"""Small circuits in front of virtual instruments, against formulas of their own."""

import math

import numpy as np
import pytest

from emulator.circuits.breadboard import Breadboard
from emulator.circuits.duts import DutError, make_dut
from emulator.circuits.laboratory import Laboratory
from emulator.rack.circuit import CurrentPort, VoltagePort
from firmware_specs.datasheet import load
from firmware_specs.labs import Lab, single

THERMAL = 1.5 * 8.617333262e-5 * 300


def on(dut, port):
    board = Breadboard([(make_dut(dut), "a", "gnd")], {"s.1": "a"})
    board.set_port("s.1", port)
    return board.terminal_volts("s.1"), board.terminal_amps("s.1")


@pytest.mark.parametrize("volts", [-5.0, 0.0, 0.3, 0.6, 0.9, 5.0])
def test_a_diode_obeys_shockley_behind_its_resistance(volts):
    at, amps = on("diode:saturation_a=1e-12,ideality=1.5,series_ohm=1", VoltagePort(volts, 10.0))
    assert amps == pytest.approx(1e-12 * math.expm1((at - amps) / THERMAL), rel=1e-6, abs=1e-10)


@pytest.mark.parametrize("port", [VoltagePort(50.0, 1e-3), VoltagePort(-50.0, 1e-3), CurrentPort(1.0, 2.0)])
@pytest.mark.parametrize("dut", ["diode", "resistor:1e3", "cell:reram", "open", "rc:1e3,1e-6"])
def test_limits_hold_whatever_the_part(dut, port):
    volts, amps = on(dut, port)
    if isinstance(port, VoltagePort):
        assert abs(amps) <= 1e-3 * (1 + 1e-9) and abs(volts) <= 50.001
    else:
        assert abs(volts) <= 2.0 + 0.011


def test_an_rc_charges_by_its_time_constant_in_steps_of_any_length():
    for steps in (1, 7):
        board = Breadboard([(make_dut("rc:1e3,1e-6"), "a", "gnd")], {"s.1": "a"})
        board.set_port("s.1", VoltagePort(1.0, 1.0))
        for _ in range(steps):
            board.advance(1e-3 / steps)
        charged = board.parts[0][0].charged_v
        assert charged == pytest.approx(1 - math.exp(-1 / 1.00001), rel=2e-4)


def test_a_nominal_pulse_moves_a_cell_by_one_step_of_its_datasheet():
    pulses = load("reram").pulses
    cell = make_dut("cell:reram,start=0.5")
    factor = cell._factor
    moved = []
    for _ in range(400):
        cell.x = 0.5
        cell.pass_time(pulses.amplitude_v, pulses.width_s)
        moved.append(cell.x - 0.5)
    wanted = pulses.step * (1 + pulses.asymmetry) * pulses.response(0.5, True) * factor
    assert np.mean(moved) == pytest.approx(wanted, rel=max(0.05, 4 * pulses.c2c / 20))
    cell.x = 0.5
    cell.pass_time(-pulses.amplitude_v, pulses.width_s)
    assert cell.x < 0.5
    kept = cell.x
    cell.pass_time(pulses.amplitude_v / 2, 1e3)
    assert cell.x == kept


def test_several_instruments_share_nodes_and_a_relay_joins_them():
    board = Breadboard(
        [(make_dut("resistor:1e3"), "a", "b"), (make_dut("resistor:3e3"), "b", "gnd")],
        {"s.1": "a", "m.hi": "b"},
        {("x", "1A01"): ("b", "gnd")},
    )
    board.set_port("s.1", VoltagePort(4.0, 1.0))
    assert board.terminal_volts("m.hi") == pytest.approx(3.0, rel=1e-4)
    board.switch("x", "1A01", True)
    assert board.terminal_volts("m.hi") == pytest.approx(4e-4, rel=1e-3)
    board.faults.add("welded:1A01")
    board.switch("x", "1A01", False)
    assert ("x", "1A01") in board.closed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resistr:1e3", "resistor"),
        ("resistor", "missing"),
        ("resistor:0", "resistor:0"),
        ("resistor:1,2,3", "resistor:1,2,3"),
        ("cell:nothing", "nothing"),
        ("os:system", "nobody has named"),
    ],
)
def test_a_text_that_is_no_part_says_what_would_be(text, words):
    with pytest.raises(DutError, match=words):
        make_dut(text)


def test_a_script_in_the_instrument_writes_a_cell_and_verifies_it():
    pulses, cells = load("reram").pulses, load("reram").cells
    laboratory = Laboratory(single("keithley-2636b", "cell:reram,seed=4"))
    feed = laboratory.feed("instrument")
    target = cells.g_min_s + 0.6 * cells.span_s
    feed(
        f"""loadscript write
        smua.source.rangev, smua.source.limiti, smua.source.output = 20, 0.01, 1
        for n = 1, 2000 do
          smua.source.levelv = 0.1
          g = smua.measure.i() / 0.1
          if g >= {target} then break end
          smua.source.levelv = {pulses.amplitude_v} delay({pulses.width_s}) smua.source.levelv = 0
          pulses = n
        end
        smua.source.output = 0
        endscript
        write() print(g, pulses)
        """.encode()
    )
    said = feed(b"print(g, pulses)\n").split(b"\t")
    part = laboratory.bench.parts[0][0]
    assert part.siemens == pytest.approx(float(said[0]), rel=0.15)
    assert float(said[0]) >= target
    assert 2 < float(said[1]) < 2000
    assert laboratory.bench.outputs_on() == []


def test_a_matrix_in_a_laboratory_joins_what_its_file_wires():
    lab = Lab.model_validate(
        {
            "instruments": {"smu": {"model": "keithley-2400"}, "matrix": {"model": "keithley-707b"}},
            "wires": {"smu.1": "in"},
            "relays": {"matrix.1A01": ["in", "device"]},
            "parts": [{"dut": "resistor:1e3", "between": ["device", "gnd"]}],
        }
    )
    laboratory = Laboratory(lab)
    smu, matrix = laboratory.feed("smu"), laboratory.feed("matrix")
    smu(b":SENS:CURR:PROT 0.01;:SOUR:VOLT 1;:OUTP ON;:FORM:ELEM CURR\n")
    assert abs(float(smu(b":READ?\n"))) < 1e-6
    matrix(b'channel.close("1A01,6H12")\n')
    assert matrix(b'print(channel.getclose("allslots"))\n') == b"1A01;6H12\n"
    assert float(smu(b":READ?\n")) == pytest.approx(1e-3, rel=2e-3)
    assert matrix(b"print(slot[1].idn)\n").startswith(b"7174A")
