"""QCoDeS and PyMeasure drivers of multimeters on the virtual DAQ6510 and 34465A, over VISA."""

import datetime
import warnings

import numpy as np
import pytest

TEN_A = "10 A is the DMM6500's at its rear, a DAQ6510 has 3 A (their manuals, measure.range)"
LARGEST = "0 stands for the largest there is, and its size is read (manual, bufferVar.capacity)"


def same_time(sent, got):
    """Numbers of a date, and the text that a box gives: `Sun Nov 29 20:30:59 2026`."""
    wanted = datetime.datetime(*map(int, sent.split(",")))
    return 0 <= (datetime.datetime.strptime(got.strip(), "%a %b %d %H:%M:%S %Y") - wanted).total_seconds() < 5


def test_pymeasure_dmm6500_reads_and_sets_everything(pymeasure, lab, scpi_errors):
    from pymeasure.instruments.keithley import KeithleyDMM6500

    box = KeithleyDMM6500("GPIB0::5::INSTR", visa_library=lab("keithley-daq6510"))

    def settle(name):
        box.write(":SYST:PCAR1 2000;:ROUT:SCAN:CRE (@1:3);:TRAC:CLE")  # the card the class is for
        box.mode = "voltage ac" if name == "detector_bandwidth" else "voltage"

    clock = ["2026, 11, 29, 20, 30, 59"]  # as its docstring has it; it is read as text
    given = {
        "scan_channels_list": [[1, 2, 3], [2]], "detector_bandwidth": [3, 30, 300],
        "scan_modes": ["voltage", "current"], "system_time": clock,
    }  # fmt: skip
    report = pymeasure(
        box, "keithley-daq6510", scpi_errors(box.ask), before=settle, points=given, alike={"system_time": same_time},
        pages={
            "TRAC:POIN": (lambda value: value == 0, LARGEST),
            "SENS:CURR:RANG": (lambda value: value > 3, TEN_A), "SENS:CURR:AC:RANG": (lambda value: value > 3, TEN_A),
        },
    )  # fmt: skip
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert set(report.theirs) == {
        "buffer_points", "buffer_size", "current_range", "current_ac_range", "period_threshold",
        "scan_modes",  # of a channel it knows `CURR`, and reads `CURR:DC`
    }  # fmt: skip
    assert len(report.read) >= 93
    assert len(report.set) >= 65


def test_pymeasure_daq6510_reads_and_sets_everything(pymeasure, lab, scpi_errors):
    from pymeasure.instruments.keithley import KeithleyDAQ6510

    box = KeithleyDAQ6510("GPIB0::5::INSTR", visa_library=lab("keithley-daq6510"))
    report = pymeasure(box, "keithley-daq6510", scpi_errors(box.ask))
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert report.theirs_read == {
        "buffer_data": "leaves out the parameters of TRAC:DATA?",  # a 2000 needs none
        "sense_mode": "misreads 'VOLT:DC'",  # knows `VOLT`
    }
    assert report.theirs == {"sense_mode": "misreads what came back"}
    box.measure_resistance(resistance=1e3, auto_range=False)
    assert box.resistance == pytest.approx(1e3, rel=1e-3)


def test_qcodes_6500_reads_and_sets_everything(qcodes, lab, scpi_errors):
    from qcodes.instrument_drivers.Keithley import Keithley6500

    box = Keithley6500("k", "GPIB0::5::INSTR", visalib=lab("keithley-daq6510"))
    report = qcodes(box, "keithley-daq6510", scpi_errors(box.ask))
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert report.theirs.pop("digits").startswith("sets by a query: DISP:VOLT:DC:DIG?")
    assert set(report.theirs.values()) == {"misreads what came back"}
    assert set(report.theirs) == {
        "mode",  # knows `FREQ`, reads `FREQ:VOLT`
        "auto_range_enabled", "averaging_enabled",  # the driver takes the text "0" for true
        "display_backlight",  # knows `BLACkout`, reads `BLAC`
    }  # fmt: skip
    assert len(report.read) == 22
    assert len(report.set) >= 15


def test_qcodes_34465a_reads_sets_measures_and_traces(qcodes, lab, scpi_errors):
    from qcodes.instrument_drivers.Keysight import Keysight34465A

    box = Keysight34465A("k", "GPIB0::5::INSTR", visalib=lab("keysight-34465a"))
    box.timetrace_npts(10)
    box.timetrace_dt(0.5)
    report = qcodes(box, "keysight-34465a", scpi_errors(box.ask))
    assert report.failed_read == {}
    assert set(report.failed_set) == {"autozero"}  # `ONCE` is an action and reads as off
    assert len(report.read) == 32
    assert len(report.set) >= 20
    assert box.res() == pytest.approx(1e3, rel=1e-3)
    trace = box.timetrace()
    assert trace.shape == (10,)
    assert np.abs(trace).max() < 1e-4
    box.volt()
    assert box.error()[0] == 0


def test_pymeasure_34410a_measures(pymeasure, lab, scpi_errors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pymeasure.instruments.agilent import Agilent34410A

        box = Agilent34410A("GPIB0::5::INSTR", visa_library=lab("keysight-34465a"))
    report = pymeasure(box, "keysight-34465a", scpi_errors(box.ask))
    assert report.failed_read == {}
    assert len(report.read) >= 11
    assert box.resistance == pytest.approx(1e3, rel=1e-3)
    assert box.resistance_4w == pytest.approx(1e3, rel=1e-3)
