"""QCoDeS and PyMeasure drivers of the 2600B family, the B2900 and the 34980A on the virtual ones, over VISA."""

import warnings

import numpy as np
import pytest


@pytest.fixture
def tsp_errors():
    """What is in the error queue of a TSP box, emptied."""

    def of(ask):
        def errors():
            found = []
            while float((entry := ask("print(errorqueue.next())").strip()).split("\t")[0]):
                found.append(entry)
            return found

        return errors

    return of


@pytest.mark.parametrize("model", ["2602B", "2612B", "2636B"])
def test_qcodes_2600_reads_and_sets_everything(qcodes, lab, tsp_errors, model):
    from qcodes.instrument_drivers import Keithley

    box = getattr(Keithley, f"Keithley{model}")("k", "GPIB0::5::INSTR", visalib=lab(f"keithley-{model.lower()}"))
    for channel in box.channels:
        channel.timetrace_npts(5)
        channel.timetrace_dt(0.1)
    on = "smua.source.output=1 smub.source.output=1"
    report = qcodes(box, "keithley-2600", tsp_errors(box.ask_raw), lambda name: box.write(on))
    assert set(report.failed_read) == {"smua_fastsweep", "smub_fastsweep"}  # to be set up first: see below
    assert report.failed_set == {}
    assert {why.partition(":")[0] for why in report.theirs.values()} == {"sets one thing and reads another"}
    assert set(report.theirs) <= {"smua_volt", "smua_curr", "smub_volt", "smub_curr"}  # a level, a measurement: below
    assert len(report.read) >= 49
    assert len(report.set) >= 35


@pytest.mark.parametrize(("dut", "mode"), [("open", "voltage"), ("resistor:0.1", "current")])
@pytest.mark.parametrize(("model", "volts"), [("2602B", 40), ("2612B", 200), ("2636B", 200)])
def test_qcodes_2600_measures_the_level_that_it_sets(qcodes, lab, model, volts, dut, mode):
    """`volt` and `curr` set a level and read a measurement: an open end holds any voltage, a shunt any current."""
    from qcodes.instrument_drivers import Keithley

    from firmware_specs.racks import facts

    name = f"keithley-{model.lower()}"
    stated = facts(name)
    smu = getattr(Keithley, f"Keithley{model}")("k", "GPIB0::5::INSTR", visalib=lab(name, dut=dut)).smua
    smu.mode(mode)
    smu.output(True)
    level, unit, most = (smu.volt, "volts", volts) if mode == "voltage" else (smu.curr, "amps", 1)
    for wanted in (-most, 0, most / 2, most):
        level(wanted)
        assert level() == pytest.approx(wanted, abs=2 * stated.range_for(unit, abs(wanted)).uncertainty(wanted))


def test_qcodes_2600_sweeps_fast_and_traces(qcodes, lab):
    from qcodes.dataset import LinSweep
    from qcodes.instrument_drivers.Keithley import Keithley2636B

    box = Keithley2636B("k", "GPIB0::5::INSTR", visalib=lab("keithley-2636b", dut="diode"))
    smu = box.smua
    smu.nplc(0.1)
    smu.limiti(0.1)
    smu.setup_fastsweep(LinSweep(smu.volt, 0, 0.7, 50))
    amps = smu.fastsweep()
    volts = np.linspace(0, 0.7, 50)
    expected = 1e-12 * np.expm1(volts / (1.5 * 8.617333e-5 * 300))
    assert np.all(np.abs(amps - expected) <= 0.03 * expected + 1e-8)
    smu.volt(0.5)
    assert smu.volt() == pytest.approx(0.5, abs=5e-3)
    smu.timetrace_npts(5)
    smu.timetrace_dt(0.1)
    assert smu.timetrace().shape == (5,)


def test_pymeasure_2600_reads_and_sets_everything(pymeasure, lab, tsp_errors):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pymeasure.instruments.keithley import Keithley2600

        box = Keithley2600("GPIB0::5::INSTR", visa_library=lab("keithley-2612b"))
    box.ChA.source_output = "ON"
    report = pymeasure(box.ChA, "keithley-2600", tsp_errors(box.ask))
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert set(report.theirs) == {
        "compliance_current", "compliance_voltage",  # the validator lets a negative limit through
        "measure_nplc",  # the driver takes its range for a list and sends the place of a value in it
    }  # fmt: skip
    assert len(report.read) == 15
    box.ChA.write("reset()")
    box.ChA.source_output = "ON"
    box.ChA.apply_voltage(compliance_current=0.01)
    box.ChA.source_voltage = 0.5
    assert box.ChA.current == pytest.approx(5e-4, rel=2e-3)
    assert box.ChA.resistance == pytest.approx(1e3, rel=5e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        box.ChA.shutdown()
    assert box.ChA.source_output == "OFF"


def test_qcodes_b2962a_reads_and_sets_everything_on_a_b2912a(qcodes, lab, scpi_errors):
    from qcodes.instrument_drivers.Keysight import KeysightB2962A

    box = KeysightB2962A("k", "GPIB0::5::INSTR", visalib=lab("keysight-b2912a"))
    report = qcodes(box, "keysight-b2900", scpi_errors(box.ask))
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert len(report.read) == 22
    assert len(report.set) == 15
    box.ch1.current_limit(0.01)
    box.ch1.source_voltage(0.5)
    box.ch1.enable(True)
    assert box.ch1.current() == pytest.approx(5e-4, rel=2e-3)
    assert box.ch1.resistance() == pytest.approx(1e3, rel=5e-3)


def test_qcodes_34980a_reads_its_cards_and_moves_relays(qcodes, lab, scpi_errors):
    from qcodes.instrument import VisaInstrument
    from qcodes.instrument_drivers.Keysight import Keysight34980A

    cards = 'modules = ["34934A-8x64", "", "34934A-4x32"]'
    box = Keysight34980A("k", "GPIB0::5::INSTR", visalib=lab("keysight-34980a", extra=cards, terminal="1101"))
    report = qcodes(box, "keysight-34980a", scpi_errors(lambda text: VisaInstrument.ask(box, text)))
    assert (report.failed_read, report.failed_set) == ({}, {})
    assert sorted(box.system_slots_info) == [1, 3]
    matrix = box.module[1]
    matrix.connect(2, 4)
    matrix.connect_paths([(1, 1), (8, 64)])
    assert matrix.are_closed([(2, 4), (1, 1), (8, 64)]) == [True] * 3
    assert matrix.is_open(2, 5)
    box.disconnect_all(1)
    assert matrix.are_open([(2, 4), (1, 1), (8, 64)]) == [True] * 3
    assert box.get_error().startswith("+0")
