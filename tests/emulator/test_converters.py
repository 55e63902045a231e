"""Converter codes against tables worked out by hand, rails included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emulator.converters import convert_drive, convert_state, from_codes, to_codes
from firmware_specs.datasheet.converters import Adc, Dac

# 3 bits over -3.5 .. 3.5: eight codes, one apart, none at zero
THREE_BITS = Dac(bits=3, low_a=-3.5, high_a=3.5)


@pytest.mark.parametrize(
    ("wanted", "code", "sent"),
    [
        (-9.0, 0, -3.5),
        (-3.5, 0, -3.5),
        (-3.1, 0, -3.5),
        (-2.9, 1, -2.5),
        (-0.01, 3, -0.5),
        (0.01, 4, 0.5),
        (3.49, 7, 3.5),
        (3.5, 7, 3.5),
        (3.51, 7, 3.5),
        (1e9, 7, 3.5),
    ],
)
def test_dac_codes_of_a_hand_computed_table(wanted, code, sent):
    value = torch.tensor([[wanted]], dtype=torch.float64)
    assert to_codes(THREE_BITS, value).item() == code
    assert convert_drive(THREE_BITS, value)[0].item() == sent


@pytest.mark.parametrize(
    ("volts", "code", "read"),
    [
        (-0.5, 0, -0.02),
        (-0.02, 0, -0.02),
        (-0.0180, 0, -0.02),
        (-0.0179, 1, -0.02 + 1.04 / 255),
        (0.0, 5, -0.02 + 5 * 1.04 / 255),
        (0.5, 128, -0.02 + 128 * 1.04 / 255),
        (1.0, 250, -0.02 + 250 * 1.04 / 255),
        (1.0179, 254, -0.02 + 254 * 1.04 / 255),
        (1.0181, 255, 1.02),
        (7.0, 255, 1.02),
    ],
)
def test_adc_codes_of_a_hand_computed_table(volts, code, read):
    adc = Adc(bits=8, low_v=-0.02, high_v=1.02)
    value = torch.tensor([[volts]], dtype=torch.float64)
    assert to_codes(adc, value).item() == code
    assert convert_state(adc, value)[0].item() == pytest.approx(read, abs=1e-12)


def test_clipped_drives_are_counted_per_sample_and_the_ends_are_not_clipped():
    drive = torch.tensor([[-3.5, 0.0, 3.5], [-3.6, 0.0, 3.6], [99.0, 1.0, 1.0]], dtype=torch.float64)
    assert convert_drive(THREE_BITS, drive)[1].tolist() == [0, 2, 1]


def test_readings_at_the_first_or_last_code_are_counted_per_sample():
    adc = Adc(bits=2, low_v=0.0, high_v=3.0)
    volts = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 3.0, 5.0], [0.4, 1.4, 2.6]], dtype=torch.float64)
    assert convert_state(adc, volts)[1].tolist() == [1, 3, 2]


def test_an_ideal_converter_passes_values_and_still_clips_at_its_range():
    dac, adc = Dac(low_a=-1.0, high_a=1.0), Adc(low_v=0.0, high_v=1.0)
    values = torch.tensor([[-2.0, 0.123456789, 2.0]], dtype=torch.float64)
    sent, clipped = convert_drive(dac, values)
    assert sent.tolist() == [[-1.0, 0.123456789, 1.0]]
    assert clipped.tolist() == [2]
    read, at_rail = convert_state(adc, values)
    assert read.tolist() == [[0.0, 0.123456789, 1.0]]
    assert at_rail.tolist() == [2]


@given(st.integers(1, 20), st.floats(-1.0, 2.0))
def test_conversion_is_idempotent_monotonic_and_within_half_a_code(bits, volts):
    adc = Adc(bits=bits, low_v=0.0, high_v=1.0)
    value = torch.tensor([[volts, volts + 0.01]], dtype=torch.float64)
    read = convert_state(adc, value)[0]
    assert torch.equal(convert_state(adc, read)[0], read)
    assert read[0, 0] <= read[0, 1]
    assert bool(((read - value.clamp(0, 1)).abs() <= adc.lsb / 2 * (1 + 1e-9)).all())


def test_every_code_survives_the_way_to_a_voltage_and_back():
    adc = Adc(bits=12, low_v=-0.1, high_v=1.1)
    codes = torch.arange(4096, dtype=torch.float64)
    assert torch.equal(to_codes(adc, from_codes(adc, codes, torch.float64)), codes)
    assert torch.equal(to_codes(adc, from_codes(adc, codes, torch.float32)), codes.float())


def test_conversion_leaves_its_input_alone():
    value = torch.tensor([[0.3, 9.0]])
    convert_drive(THREE_BITS, value)
    convert_state(Adc(bits=8, low_v=0, high_v=1), value)
    assert torch.equal(value, torch.tensor([[0.3, 9.0]]))
