"""The SCPI core of the virtual instruments, from the outside: IEEE 488.2 and SCPI-99."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.circuits.laboratory import Laboratory
from firmware_specs.labs import single


@pytest.fixture
def box():
    return Laboratory(single("keithley-2400", "resistor:1e3"))


def talk(laboratory):
    feed = laboratory.feed("instrument")
    return lambda line: feed(line.encode() + b"\n").decode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("SOUR:VOLT", -109),
        ("SOUR:VOLT 1,2", -108),
        ("SOUR:VOLT 1e6", -222),
        ("SOUR:VOLT abc", -104),
        ("SOUR:FUNC WATT", -224),
        ("SOUR:VOLT 1 furlong", -131),
        ("SOUR2:VOLT 1", -114),
        ("READ", -113),
        ("TRIG:COUN 1.5e9", -222),
        ("SENS:FUNC 'WATT'", -224),
        ("SOUR:VOLT 'a", -102),
        ("OUTP", -109),
    ],
)
def test_each_mistake_has_its_code_and_its_bit(box, line, code):
    ask = talk(box)
    ask("*CLS")
    assert ask(line) == ""
    assert int(ask("*ESR?")) == (32 if code > -200 else 16)
    assert ask("SYST:ERR?").startswith(f"{code},")
    assert ask("SYST:ERR?") == '0,"No error"\n'


@pytest.mark.parametrize("number", ["0.1", "100E-3", "+.1", "100mV", "100 MV", "1E-1V", "0.1 V"])
def test_numbers_may_have_units_and_multipliers(box, number):
    ask = talk(box)
    ask(f":SOUR:VOLT {number}")
    assert float(ask(":SOUR:VOLT?")) == pytest.approx(0.1)


def test_minimum_maximum_and_default_are_words_of_every_number(box):
    ask = talk(box)
    ask("TRIG:COUN MAX")
    assert ask("TRIG:COUN?;COUN? MIN;COUN? DEF;COUN? MAXIMUM") == "2500;1;1;2500\n"
    ask("TRIG:COUN DEF")
    assert ask("TRIG:COUN?") == "1\n"


def test_compound_headers_go_on_where_they_were_and_common_commands_do_not_move_them(box):
    ask = talk(box)
    ask(":SOUR:VOLT:RANG 20;*CLS;LEV 3;:SENS:CURR:PROT 1e-3;NPLC 0.1")
    assert ask(":SOUR:VOLT:LEV?;RANG?;:SENS:CURR:NPLC?") == "3.000000E+00;2.100000E+01;1.000000E-01\n"
    ask("VOLT 1")
    assert ask("SYST:ERR?").startswith("-113")


def test_status_sums_up_and_asks_for_service_once_a_rise(box):
    instrument = box.boxes["instrument"]
    calls = []
    instrument.service = lambda: calls.append(1)
    ask = talk(box)
    ask("*CLS;*SRE 32;*ESE 32")
    assert ask("*STB?") == "0\n"
    ask("NONSENSE")
    assert int(ask("*STB?")) == 4 + 32 + 64
    ask("NONSENSE")
    assert calls == [1]
    ask("*CLS")
    ask("NONSENSE")
    assert calls == [1, 1]


def test_buffer_full_is_seen_by_a_serial_poll_as_scripts_look_for_it(box):
    ask = talk(box)
    ask(":SENS:CURR:PROT 0.01;:OUTP ON;:STAT:PRES;*CLS;*SRE 1;:STAT:MEAS:ENAB 512")
    ask(":TRAC:CLE;:TRAC:POIN 3;:TRIG:COUN 3;:TRAC:FEED SENS;:TRAC:FEED:CONT NEXT")
    assert int(ask("*STB?")) & 65 == 0
    ask(":INIT")
    assert int(ask("*STB?")) & 65 == 65
    assert len(ask(":TRAC:DATA?").split(",")) == 15


def test_real_readings_are_an_indefinite_block_in_either_order(box):
    feed = box.feed("instrument")
    feed(b":SENS:CURR:PROT 0.01;:SOUR:VOLT 1;:OUTP ON;:FORM:ELEM CURR;:FORM REAL,32\n")
    for order, mark in ((b"NORM", ">"), (b"SWAP", "<")):
        block = feed(b":FORM:BORD " + order + b";:READ?\n")
        assert block[:2] == b"#0" and len(block) == 7
        assert struct.unpack(f"{mark}f", block[2:6])[0] == pytest.approx(1e-3, rel=2e-3)


def test_a_trigger_of_the_bus_is_waited_for_and_read_refuses_to(box):
    ask = talk(box)
    ask(":OUTP ON;:ARM:SOUR BUS;:INIT")
    assert ask(":FETC?") == ""
    assert ask("SYST:ERR?").startswith("-230")
    ask("*TRG")
    assert len(ask(":FETC?").split(",")) == 5
    assert ask(":READ?") == ""
    assert ask("SYST:ERR?").startswith("-214")


def test_settings_are_saved_and_recalled_but_an_output_does_not_go_on(box):
    ask = talk(box)
    ask(":SOUR:VOLT 3;:SENS:CURR:PROT 1e-3;:OUTP ON;*SAV 2;*RST")
    assert float(ask(":SOUR:VOLT?")) == 0
    ask("*RCL 2")
    assert float(ask(":SOUR:VOLT?")) == 3
    assert ask(":OUTP?") == "0\n"


def test_rear_terminals_leave_the_part_alone_and_switch_the_output_off(box):
    ask = talk(box)
    ask(":SENS:CURR:PROT 0.01;:SOUR:VOLT 1;:OUTP ON;:ROUT:TERM REAR")
    assert ask(":OUTP?") == "0\n"
    ask(":OUTP ON")
    assert abs(float(ask(":READ?").split(",")[1])) < 1e-6
    ask(":ROUT:TERM FRON;:OUTP ON")
    assert float(ask(":READ?").split(",")[1]) == pytest.approx(1e-3, rel=2e-3)


@pytest.mark.parametrize(("mode", "amps"), [("NORM", 0.0), ("ZERO", 0.0), ("HIMP", 1.0), ("GUAR", 1.0)])
def test_output_off_states_hold_or_leave_what_another_source_drives(mode, amps):
    from firmware_specs.labs import Lab

    laboratory = Laboratory(
        Lab.model_validate(
            {
                "instruments": {"a": {"model": "keithley-2400"}, "b": {"model": "keithley-2450"}},
                "wires": {"a.1": "x", "b.1": "x"},
                "parts": [{"dut": "resistor:1e6", "between": ["x", "gnd"]}],
            }
        )
    )
    laboratory.feed("a")(f":OUTP:SMOD {mode};:OUTP ON;:OUTP OFF\n".encode())
    laboratory.feed("b")(b":SOUR:FUNC CURR;:SOUR:CURR:VLIM 10;:SOUR:CURR 1e-6;:OUTP ON;:SENS:FUNC 'VOLT'\n")
    volts = float(laboratory.feed("b")(b":READ?\n"))
    assert volts == pytest.approx(amps, abs=2e-2)


@pytest.mark.parametrize(
    ("model", "protect", "tripped"),
    [
        ("keithley-2400", ":SOUR:VOLT:PROT 20", ":SOUR:VOLT:PROT:TRIP?"),
        ("keithley-2450", ":SOUR:VOLT:PROT PROT20", ":SOUR:VOLT:PROT:TRIP?"),
    ],
)
def test_the_source_protection_clamps_and_says_so(model, protect, tripped):
    ask = talk(Laboratory(single(model, "resistor:1e4")))
    ask(f"{protect};:SOUR:VOLT:RANG:AUTO 1;:SENS:FUNC 'VOLT';:SOUR:VOLT 5;:OUTP ON")
    assert ask(tripped) == "0\n"
    ask(":SENS:CURR:PROT 0.1;:SOUR:VOLT:ILIM 0.1" if model.endswith("0") else "")
    ask(":SOUR:VOLT 50")
    assert ask(tripped) == "1\n"
    assert float(ask(":READ?").split(",")[0]) == pytest.approx(20, rel=1e-2)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_no_bytes_break_an_instrument(chunks):
    for model in ("keithley-2400", "keithley-2636b"):
        laboratory = Laboratory(single(model, "resistor:1e3"))
        feed = laboratory.feed("instrument")
        for chunk in chunks:
            feed(chunk)
        box = laboratory.boxes["instrument"]
        box.clear()
        assert b"KEITHLEY" in feed(b"\n*IDN?\n").upper()
