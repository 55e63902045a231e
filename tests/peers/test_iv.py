"""Current over voltage of a resistor, a diode and a cell, by each peer's driver, within the stated accuracy."""

import warnings

import pytest
import pyvisa

from firmware_specs.racks import facts

VOLTS = (-0.4, 0.1, 0.4, 0.55)
DUTS = ("resistor:1e3", "diode", "cell:reram,start=0.5,seed=2")


def pymeasure_2400(lib):
    from pymeasure.instruments.keithley import Keithley2400

    box = Keithley2400("GPIB0::5::INSTR", visa_library=lib)
    box.reset()
    box.source_mode, box.compliance_current, box.source_enabled = "voltage", 0.01, True

    def measure(volts):
        box.source_voltage = volts
        return box.measure_all()["current"]

    return measure


def pymeasure_2450(lib):
    from pymeasure.instruments.keithley import Keithley2450

    box = Keithley2450("GPIB0::5::INSTR", visa_library=lib)
    box.apply_voltage(compliance_current=0.01)
    box.measure_current()
    box.enable_source()

    def measure(volts):
        box.source_voltage = volts
        return box.current

    return measure


def pymeasure_2600(lib):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pymeasure.instruments.keithley import Keithley2600

        box = Keithley2600("GPIB0::5::INSTR", visa_library=lib).ChA
    box.apply_voltage(compliance_current=0.01)
    box.source_output = "ON"

    def measure(volts):
        box.source_voltage = volts
        return box.current

    return measure


def qcodes_2400(lib):
    from qcodes.instrument_drivers.Keithley import Keithley2400

    box = Keithley2400("k", "GPIB0::5::INSTR", visalib=lib)
    box.mode("VOLT")
    box.compliancei(0.01)
    box.output(1)  # the driver compares what was set with 1 before it reads
    return lambda volts: (box.volt(volts), box.curr())[1]


def qcodes_2450(lib):
    from qcodes.instrument_drivers.Keithley import Keithley2450

    box = Keithley2450("k", "GPIB0::5::INSTR", visalib=lib)
    box.sense_function("current")
    box.source_function("voltage")
    box.source.limit(0.01)
    box.output_enabled(True)
    return lambda volts: (box.source.voltage(volts), box.sense.current())[1]


def qcodes_2636b(lib):
    from qcodes.instrument_drivers.Keithley import Keithley2636B

    smu = Keithley2636B("k", "GPIB0::5::INSTR", visalib=lib).smua
    smu.mode("voltage")
    smu.limiti(0.01)
    smu.output("on")
    return lambda volts: (smu.volt(volts), smu.curr())[1]


def qcodes_b2962a(lib):
    from qcodes.instrument_drivers.Keysight import KeysightB2962A

    smu = KeysightB2962A("k", "GPIB0::5::INSTR", visalib=lib).ch1
    smu.source_mode("voltage")
    smu.current_limit(0.01)
    smu.enable("on")
    return lambda volts: (smu.source_voltage(volts), smu.current())[1]


CASES = [
    ("keithley-2400", pymeasure_2400), ("keithley-2450", pymeasure_2450), ("keithley-2612b", pymeasure_2600),
    ("keithley-2450-scpi2400", pymeasure_2400), ("keithley-2450-scpi2400", qcodes_2400),
    ("keithley-2400", qcodes_2400), ("keithley-2450", qcodes_2450), ("keithley-2636b", qcodes_2636b),
    ("keysight-b2902a", qcodes_b2962a),
]  # fmt: skip


@pytest.mark.parametrize("dut", DUTS)
@pytest.mark.parametrize(("model", "opened"), CASES, ids=[f"{opened.__name__}-{model}" for model, opened in CASES])
def test_current_over_voltage_is_within_the_stated_accuracy(request, lab, model, opened, dut):
    if opened.__name__.startswith("qcodes"):
        request.getfixturevalue("qcodes")
    library = lab(model, dut=dut)
    manager = pyvisa.ResourceManager(library)
    measure, bench, stated = opened(library), manager.visalib.laboratory.bench, facts(model)
    part = bench.parts[0][0]
    for volts in VOLTS:
        amps = measure(volts)
        source = stated.range_for("volts", abs(volts)).uncertainty(volts)
        used = stated.range_for("amps", abs(amps))
        slope = (part.amps(volts + source) - part.amps(volts - source)) / 2
        allowed = stated.uncertainty(used, amps, 0.1) + abs(slope) + 0.02 * abs(amps) * dut.startswith("cell")
        assert amps == pytest.approx(part.amps(volts), abs=allowed), volts
    manager.close()
