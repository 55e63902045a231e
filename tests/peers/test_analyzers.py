"""QCoDeS's and PyMeasure's drivers of the B1500A and PyMeasure's of the 4200A on the virtual ones, over VISA."""

import warnings

import pytest

OHM, VOLT, COMPLIANCE_A = 1e3, 0.5, 1e-2
THOUSANDTH = 1e-3


def test_pymeasure_b1500_forces_and_measures(lab):
    from pymeasure.instruments.agilent import AgilentB1500

    box = AgilentB1500("GPIB0::5::INSTR", visa_library=lab("keysight-b1500a"))
    box.initialize_all_smus()
    assert box.query_modules() == dict.fromkeys(range(1, 11), "HRSMU")
    smu = box.smu1
    for form in (1, 11, 21):
        box.data_format(form)
        box.meas_mode("SPOT", smu)
        smu.enable()
        smu.meas_op_mode = "CURRENT"
        smu.meas_range_current = "1 mA"
        smu.force("VOLTAGE", "2 V", VOLT, COMPLIANCE_A)
        box.check_errors()
        box.send_trigger()
        ((status, channel, what, amps),) = box.read_channels(1)
        assert (status, channel, what[:7]) == ("000" if form == 21 else "N", "SMU1", "Current")
        assert amps == pytest.approx(VOLT / OHM, rel=2 * THOUSANDTH)
        smu.disable()
    assert box.query_learn(0) == {}


def test_qcodes_b1500_forces_and_measures(lab):
    pytest.importorskip("qcodes", reason="QCoDeS is not installed: pip install crossbar-hil[peers]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcodes.instrument_drivers.Keysight.keysightb1500 import KeysightB1500, constants

        box = KeysightB1500("analyzer", "GPIB0::5::INSTR", visalib=lab("keysight-b1500a"))
    try:
        smu = box.by_slot[constants.SlotNr.SLOT01]
        smu.enable_outputs()
        smu.source_config(output_range=constants.VOutputRange.AUTO, compliance=COMPLIANCE_A)
        smu.voltage(VOLT)
        assert smu.current() == pytest.approx(VOLT / OHM, rel=2 * THOUSANDTH)
        smu.source_config(output_range=constants.VOutputRange.AUTO, compliance=1e-4)
        smu.voltage(VOLT)
        assert smu.current() == pytest.approx(1e-4, rel=2 * THOUSANDTH)  # the compliance holds
        smu.disable_outputs()
        assert box.error_message() == '+0,"No Error."'
    finally:
        box.close()


def test_pymeasure_4200_forces_and_measures(tmp_path):
    from pymeasure.instruments.keithley import Keithley4200

    address, path = "TCPIP0::scs::1225::SOCKET", tmp_path / "scs.toml"
    path.write_text(
        f'[instruments.box]\nmodel = "keithley-4200a"\naddress = "{address}"\n[wires]\n"box.1" = "a"\n'
        f'[[parts]]\ndut = "resistor:{OHM}"\nbetween = ["a", "gnd"]\n'
    )
    box = Keithley4200(address, visa_library=f"{path}@hil")
    assert box.options[:4] == ["SMU1", "SMU2", "SMU3", "SMU4"]
    box.write("US")
    box.check_set_errors()
    box.smu1.voltage_setpoint = (0, VOLT, COMPLIANCE_A)
    assert box.smu1.current == pytest.approx(VOLT / OHM, rel=2 * THOUSANDTH)
    box.smu1.current_setpoint = (0, 1e-4, 2.0)
    assert box.smu1.voltage == pytest.approx(1e-4 * OHM, rel=2 * THOUSANDTH)
    box.smu1.disable()
