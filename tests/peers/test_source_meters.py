"""QCoDeS and PyMeasure drivers of the 2400 and the 2450 on the virtual ones, over VISA."""

import warnings

import numpy as np
import pytest

LEAST = "a compliance below 0.1 % of the measuring range is refused (2400S-900-01, 18-68; 2450-901-01, 6-71)"
NO_COMPLIANCE = dict.fromkeys(
    ("SENSE:CURRENT:PROTECTION", "SENSE:VOLTAGE:PROTECTION", "SOUR:VOLT:ILIM", "SOUR:CURR:VLIM"),
    (lambda value: value == 0, LEAST),
)
PYMEASURE_2400_DEPRECATED = ("auto_zero", "filter_state", "filter_type", "auto_output_off", "error",
                             "source_delay_auto", "line_frequency_auto")  # fmt: skip


def test_qcodes_2450_reads_and_sets_everything(qcodes, lab, scpi_errors):
    from qcodes.instrument_drivers.Keithley import Keithley2450

    box = Keithley2450("k", "GPIB0::5::INSTR", visalib=lab("keithley-2450"))
    for module in box.submodules.values():
        if hasattr(module, "user_number"):
            module.user_number(1)
    box.source.limit(0.01)

    def settle(name):
        box.write(":SENS:FUNC 'CURR';:SOUR:FUNC VOLT;:OUTP ON")
        box.source_function.get(), box.sense_function.get()
        box.source.sweep_setup(0, 1, 10)
        box.sense.sweep.setpoints = (box.source.sweep_axis,)

    report = qcodes(box, "keithley-2450", scpi_errors(box.ask), settle)
    assert report.failed_read == {
        "source_sweep_axis": report.failed_read["source_sweep_axis"]
    }  # of the function that is not sourced: the driver wants its sweep set up first
    assert report.failed_set == {}
    assert report.theirs == {"terminals": "misreads what came back"}  # `FRON`
    assert len(report.read) >= 64
    assert len(report.set) >= 51


@pytest.mark.parametrize("model", ["keithley-2400", "keithley-2450-scpi2400"])
def test_pymeasure_2400_reads_and_sets_everything(pymeasure, lab, scpi_errors, model):
    from pymeasure.instruments.keithley import Keithley2400

    box = Keithley2400("GPIB0::5::INSTR", visa_library=lab(model))

    def settle(name):
        box.write(":ROUT:TERM FRON;:SOUR:FUNC VOLT;:SOUR:VOLT:RANG:AUTO 1;:SOUR:VOLT 0.5;:SENS:CURR:PROT 0.01;:OUTP 1")
        box.write(":TRAC:FEED:CONT NEXT;:READ?")
        box.read()

    report = pymeasure(
        box, "keithley-2400", scpi_errors(box.ask), PYMEASURE_2400_DEPRECATED, settle, pages=NO_COMPLIANCE
    )
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert report.theirs == {
        "arm_timer": "was given 99999.99 and sends 100000, beyond the end",  # %g
        "trigger_delay": "was given 999.9999 and sends 1000, beyond the end",
        "compliance_current": f"sends 0: {LEAST}",
        "compliance_voltage": f"sends 0: {LEAST}",
    }
    assert len(report.read) >= 71
    assert len(report.set) >= 42


def test_qcodes_2400_reads_and_sets_everything(qcodes, lab, scpi_errors):
    from qcodes.instrument_drivers.Keithley import Keithley2400

    box = Keithley2400("k", "GPIB0::5::INSTR", visalib=lab("keithley-2400"))
    box.mode("VOLT")
    box.compliancei(0.01)
    box.volt(0.5)

    def settle(name):
        box.write(":OUTP ON;:SENS:FUNC:CONC OFF")  # one function at a time
        box.output.get()

    functions = {"sense": ["CURR:DC", "VOLT:DC", "RES"]}
    report = qcodes(box, "keithley-2400", scpi_errors(box.ask), settle, functions)
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert report.theirs == {"sense": "misreads what came back"}  # with its quotes


def test_pymeasure_2450_reads_and_sets_what_both_command_sets_have(pymeasure, lab, scpi_errors):
    """Its class is written for a 2450 that emulates a 2400 (its docstring says so), and mixes both command sets."""
    from pymeasure.instruments.keithley import Keithley2450

    box = Keithley2450("GPIB0::5::INSTR", visa_library=lab("keithley-2450"))
    box.apply_voltage()
    box.compliance_current = 0.01
    box.source_voltage = 0.5
    box.measure_current()
    box.enable_source()
    report = pymeasure(box, "keithley-2450", scpi_errors(box.ask), ("error",), pages=NO_COMPLIANCE)
    statistics = {f"{s}_{q}" for s in ("max", "min", "mean", "std") for q in ("current", "voltage", "resistance")}
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert set(report.theirs_read) == statistics | {"buffer_data", "options"}  # of the 2400 set
    assert set(report.theirs) == {
        "compliance_current",  # 0
        "compliance_voltage",
        "current_range",  # 2400: a measuring range may be negative
        "voltage_range",
        "current_filter_state",  # sets `ON` and reads 1
    }
    assert len(report.set) >= 21


@pytest.mark.parametrize("volts", [0.5, -0.5])
def test_a_resistor_is_measured_within_the_stated_accuracy(lab, volts):
    from pymeasure.instruments.keithley import Keithley2400

    box = Keithley2400("GPIB0::5::INSTR", visa_library=lab("keithley-2400"))
    box.reset()
    box.source_mode = "voltage"
    box.source_voltage = volts
    box.compliance_current = 0.01
    box.source_enabled = True
    found = box.measure_all()
    assert found["current"] == pytest.approx(volts / 1e3, rel=2e-3)
    assert found["resistance"] == pytest.approx(1e3, rel=3e-3)
    assert not found["status"] & 8
    box.compliance_current = 1e-4
    assert box.measure_all()["status"] & 8
    assert abs(box.current) == pytest.approx(1e-4, rel=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        box.shutdown()
    assert box.source_enabled is False


def test_qcodes_2450_sweeps_a_diode(qcodes, lab):
    from qcodes.instrument_drivers.Keithley import Keithley2450

    box = Keithley2450("k", "GPIB0::5::INSTR", visalib=lab("keithley-2450", dut="diode"))
    box.sense_function("current")
    box.source_function("voltage")
    box.source.limit(0.1)
    box.source.sweep_setup(0, 0.8, 41)
    box.sense.sweep.setpoints = (box.source.sweep_axis,)
    amps = box.sense.sweep()
    volts = box.source.sweep_axis()
    thermal = 1.5 * 8.617333e-5 * 300
    expected = 1e-12 * np.expm1((volts - amps * 1.0) / thermal)
    assert np.all(np.abs(amps - expected) <= 5e-3 * np.abs(expected) + 1e-9 + 3e-4 / thermal * np.abs(expected))
    assert box.output_enabled() is False
