"""Converters of a twin: what a calibration of the same chip says of them, and no other's."""

import pytest

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.calibrate import file
from hil.measuring.calibrate.measure import measure_array
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import Programming
from hil.measuring.twins import of_device
from hil.measuring.twins.measured import TwinError

BOWED = {"inl_lsb": 3.0, "gain_error_sigma": 0.005}


def uneven(seed):
    """A chip whose state ADC bows by 3 steps of 10 bits and whose channels differ by 0.5 %."""
    plain = load("mixed-8bit").model_dump(exclude_unset=True)
    plain["drive_dac"]["bits"] = plain["output_adc"]["bits"] = 12
    plain["state_adc"] |= {"bits": 10, "noise_sigma_v": 1e-3} | BOWED
    return Chip(Datasheet.model_validate(plain), seed)


def calibrated(chip, folder):
    with crossbar_of_chip(chip) as crossbar:
        findings = [measure_array(crossbar, 0, dense_chain([12, 8, 4], slope=0.5))]
        return file.write(folder / "cal.toml", file.Identified("cal", 30.0), crossbar, findings)


def test_a_twin_takes_the_errors_of_its_converters_from_a_calibration_of_the_same_chip(tmp_path):
    chip = uneven(2)
    with crossbar_of_chip(chip) as crossbar:
        found = run.characterize(crossbar, plan.Plan(rows=8, columns=4, programming=Programming()), tmp_path / "run")
    plain = of_device.fit(found).datasheet.state_adc
    assert plain.inl_lsb == 0 and plain.gain_error_sigma == 0  # cells alone say nothing of converters
    twin = of_device.fit(found, calibrated(chip, tmp_path))
    adc = twin.datasheet.state_adc
    assert adc.inl_lsb == pytest.approx(BOWED["inl_lsb"], abs=3 * twin.uncertainty["state_adc.inl_lsb"])
    assert twin.uncertainty["state_adc.inl_lsb"] < 0.75
    assert adc.gain_error_sigma == pytest.approx(0.005, rel=0.6)  # of 12 channels: 2.9 standard deviations
    assert twin.datasheet.drive_dac.inl_lsb == 0  # which had none
    with pytest.raises(TwinError, match=r"seed-3.*one chip"):
        of_device.fit(found, calibrated(uneven(3), tmp_path))
