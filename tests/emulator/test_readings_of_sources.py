"""What source meters say beside a reading: status words, limits, points of a sweep, readings in a pulse.

The bits are those of the makers' manuals: 2400 User's Manual 18-50 and 18-90, 2600 Reference Manual 12-97.
"""

import pytest

from emulator.circuits.laboratory import Laboratory
from firmware_specs.labs import single


@pytest.fixture
def talk():
    """Opens a model in front of 1 kOhm and gives what asks it."""

    def opened(model):
        feed = Laboratory(single(model, "resistor:1e3")).feed("instrument")
        return lambda line: feed(line.encode() + b"\n").decode().strip()

    return opened


def bits(word):
    return {bit for bit in range(24) if int(float(word)) >> bit & 1}


def test_a_2400_s_status_word_says_terminals_limit_functions_source_and_wires(talk):
    ask = talk("keithley-2400")
    ask(":FORM:ELEM STAT;:SENS:CURR:PROT 0.01;:SOUR:VOLT 1;:OUTP ON")
    assert bits(ask(":READ?")) == {2, 10, 12, 14}  # front, auto-ohms, measures amperes, sources volts
    ask(":SENS:CURR:PROT 1e-4")
    assert bits(ask(":READ?")) == {2, 3, 10, 12, 14}
    ask(":SENS:CURR:RANG 1e-6")
    assert bits(ask(":READ?")) == {0, 2, 3, 10, 12, 14}
    ask(":SOUR:FUNC CURR;:SENS:FUNC 'VOLT','RES';:SENS:RES:MODE MAN;:SYST:RSEN ON;:SENS:CURR:RANG:AUTO ON;:OUTP ON")
    assert bits(ask(":SOUR:CURR 1e-4;:SENS:VOLT:PROT 10;:READ?")) == {2, 11, 12, 13, 15, 22}
    assert ask(":FORM:ELEM VOLT,RES;:FORM:ELEM?") == "VOLT,RES"


def test_a_2400_s_step_and_number_of_points_follow_each_other(talk):
    ask = talk("keithley-2400")
    ask(":SOUR:VOLT:STAR 0;:SOUR:VOLT:STOP 1;:SOUR:VOLT:STEP 0.25;:SENS:CURR:PROT 0.01;:FORM:ELEM CURR;:OUTP ON")
    assert ask(":SOUR:SWE:POIN?") == "5"
    ask(":SOUR:SWE:POIN 3;:SOUR:VOLT:MODE SWE;:TRIG:COUN 3")
    assert float(ask(":SOUR:VOLT:STEP?")) == 0.5
    assert [float(amps) for amps in ask(":READ?").split(",")] == pytest.approx([0, 5e-4, 1e-3], abs=2e-6)


def test_a_2636b_in_its_limit_sets_the_bits_of_its_registers(talk):
    ask = talk("keithley-2636b")
    registers = "print(status.measurement.condition, status.measurement.current_limit.condition)"
    ask(
        "smub.source.func = smub.OUTPUT_DCVOLTS smua.source.levelv = 1 smua.source.limiti = 0.01 smua.source.output = 1"
    )
    assert [float(word) for word in ask(registers).split()] == [0, 0]
    ask("smua.source.limiti = 1e-4")
    assert [float(word) for word in ask(registers).split()] == [2, 2]
    assert float(ask("print(status.measurement.ILMT)")) == 2


@pytest.mark.parametrize(("mode", "peak", "limit"), [("VOLT", 2.0, "CURR"), ("CURR", 2e-3, "VOLT")])
def test_a_b2902a_reads_in_its_pulses(talk, mode, peak, limit):
    ask = talk("keysight-b2902a")
    ask(f":SOUR:FUNC:MODE {mode};:SENS:{limit}:PROT {0.01 if limit == 'CURR' else 10};:SOUR:FUNC:SHAP PULS")
    ask(f":SOUR:PULS:WIDT 1e-3;:SOUR:{mode}:TRIG {peak};:TRIG:COUN 3;:OUTP ON;:INIT")
    for element, value in (("VOLT", 2.0), ("CURR", 2e-3), ("RES", 1e3)):
        read = [float(word) for word in ask(f":FETC:ARR:{element}?").split(",")]
        assert read == pytest.approx([value] * 3, rel=0.01)
    assert ask(":FORM:ELEM:SENS?") == "VOLT,CURR,RES,TIME,STAT,SOUR"
    assert abs(float(ask(f":SOUR:FUNC:SHAP DC;:MEAS:{mode}?"))) < 0.01 * peak
