"""The driver keithley2600: it learns a box's whole tree by Lua, and sweeps by the trigger model."""

import numpy as np
import pytest


@pytest.fixture
def open_box(lab):
    keithley2600 = pytest.importorskip("keithley2600", reason="keithley2600 is not installed: see `make peers`")

    def of(model, dut="resistor:1e3"):
        getattr(keithley2600.Keithley2600, "_instances", set()).clear()  # the driver keeps one an address
        return keithley2600.Keithley2600("GPIB0::5::INSTR", visa_library=lab(model, dut=dut))

    return of


def test_it_finds_what_the_box_has_sets_it_and_reads_it_back(open_box):
    box = open_box("keithley-2636b")
    source, measure = box.smua.source, box.smua.measure
    for owner, name, points in (
        (source, "levelv", (-200, 0, 200)), (source, "leveli", (-1e-9, 0, 1e-9)), (source, "func", (0, 1)),
        (source, "limiti", (1e-9, 0.1)), (source, "autorangev", (0, 1)), (measure, "nplc", (0.001, 1, 25)),
        (measure, "count", (1, 1000)), (measure.filter, "enable", (0, 1)), (measure.filter, "count", (1, 100)),
        (box.format, "asciiprecision", (10, 16)), (box.smub.nvbuffer1, "appendmode", (0, 1)),
    ):  # fmt: skip
        getattr(owner, name)  # the driver learns the object by that
        for point in points:
            setattr(owner, name, point)
            assert getattr(owner, name) == pytest.approx(point), name
    with pytest.raises(AttributeError):
        box.smua.source.nonsense  # noqa: B018 - asking is the test
    box.reset()
    assert (source.output, box.errorqueue.count, box.localnode.model) == (0, 0, "2636B")


@pytest.mark.parametrize("pulsed", [False, True])
def test_it_sweeps_one_channel(open_box, pulsed):
    box = open_box("keithley-2612b")
    levels = np.linspace(0, 1, 11).tolist()
    volts, amps = box.voltage_sweep_single_smu(box.smua, levels, t_int=0.01, delay=-1, pulsed=pulsed)
    assert np.allclose(volts, levels, atol=2e-3)
    assert np.allclose(amps, np.array(levels) / 1e3, atol=2e-6)


def test_it_sweeps_two_channels_point_by_point(open_box):
    box = open_box("keithley-2636b")
    levels = [0.1, 0.2, 0.3]
    volts, amps, others, none = box.voltage_sweep_dual_smu(
        box.smua, box.smub, levels, levels[::-1], t_int=0.01, delay=-1, pulsed=False
    )
    assert np.allclose(volts, levels, atol=2e-3) and np.allclose(others, levels[::-1], atol=2e-3)
    assert np.allclose(amps, np.array(levels) / 1e3, atol=2e-6) and np.allclose(none, 0, atol=1e-9)


def test_it_ramps_and_measures(open_box):
    box = open_box("keithley-2602b")
    box.apply_current(box.smua, 1e-4)
    assert box.smua.measure.v() == pytest.approx(0.1, abs=1e-3)
    box.apply_voltage(box.smua, 0.5)
    assert box.smua.measure.i() == pytest.approx(5e-4, rel=2e-3)
