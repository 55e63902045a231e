"""Static errors of converter channels: gain, offset, nonlinearity, as the datasheet's figures say."""

import math

import pytest
import torch

from emulator import converters
from emulator.channels import Channels, nonlinearity
from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.converters import Adc, Dac

CPU = torch.device("cpu")
DAC = {"bits": 8, "low_a": -1.0, "high_a": 1.55}
ADC = {"bits": 8, "low_v": -1.0, "high_v": 1.55}


def channels(converter, units=20_000):
    return Channels.draw(converter, (units,), CPU, torch.float64, 7, "test")


def test_a_converter_without_errors_draws_none():
    assert channels(Dac(**DAC)) == Channels(None, None, None)


def test_gain_and_offset_have_their_spreads():
    drawn = channels(Adc(**ADC, gain_error_sigma=0.01, offset_error_sigma_lsb=0.7))
    for values, sigma in ((drawn.gain, 0.01), (drawn.offset_lsb, 0.7)):
        assert abs(float(values.mean())) < 4.5 * sigma / math.sqrt(20_000)
        assert abs(float(values.std()) / sigma - 1) < 4.5 / math.sqrt(40_000)


def test_a_bow_peaks_at_the_stated_integral_nonlinearity():
    curve = nonlinearity(Adc(**ADC, inl_lsb=1.5), CPU, 1)
    assert curve.shape == (256,)
    assert float(curve.abs().max()) == pytest.approx(1.5)
    assert (float(curve[0]), float(curve[-1])) == pytest.approx((0, 0), abs=1e-9)


def test_steps_between_codes_have_the_stated_differential_nonlinearity():
    curve = nonlinearity(Adc(bits=16, low_v=0, high_v=1, dnl_lsb=0.5), CPU, 1)
    assert float(curve.diff().std()) == pytest.approx(0.5, rel=0.02)


def test_a_dac_sends_its_error_on_top_of_the_code():
    dac, error = Dac(**DAC), Channels(torch.tensor([0.1, 0.0]), torch.tensor([0.0, 3.0]), None)
    sent, _ = converters.convert_drive(dac, torch.tensor([[0.5, 0.5]], dtype=torch.float64), error)
    assert sent.tolist() == [pytest.approx([0.55, 0.53])]
    curve = torch.zeros(256, dtype=torch.float64)
    curve[150] = -2.0  # the code of 0.5
    sent, _ = converters.convert_drive(dac, torch.tensor([[0.5, 0.51]], dtype=torch.float64), Channels(curve_lsb=curve))
    assert sent.tolist() == [pytest.approx([0.48, 0.51])]


def test_an_adc_reports_codes_that_are_off():
    adc, error = Adc(**ADC), Channels(torch.tensor([0.1, 0.0]), torch.tensor([0.0, 3.4]), None)
    seen, _ = converters.convert_state(adc, torch.tensor([[0.5, 0.5]], dtype=torch.float64), error)
    assert seen.tolist() == [pytest.approx([0.55, 0.53])]
    seen, rails = converters.convert_state(adc, torch.tensor([[1.5, 1.53]], dtype=torch.float64), error)
    assert seen.tolist() == [pytest.approx([1.55, 1.55])]
    assert rails.tolist() == [2]


def test_errors_belong_to_the_specimen():
    plain = load("mixed-8bit").model_dump(exclude_unset=True)
    plain["state_adc"] |= {"offset_error_sigma_lsb": 2.0, "noise_sigma_v": 0.0}
    datasheet = Datasheet.model_validate(plain)

    def states(seed):
        chip = Chip(datasheet, seed)
        chip.configure(0, dense_chain([32, 4]))
        return chip.settle(0, torch.full((2, 32), 5e-5))[0].states_v[0]

    assert torch.equal(states(1), states(1))
    assert torch.equal(states(1)[0], states(1)[1])
    assert not torch.equal(states(1), states(2))


def test_drive_noise_is_held_during_a_transaction():
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["drive_dac"] |= {"noise_sigma_a": 1e-7}
    chip = Chip(Datasheet.model_validate(plain), dtype=torch.float64)
    chip.configure(0, dense_chain([2000, 1]))
    free, nudged = chip.settle(0, torch.full((1, 2000), 5e-6), [torch.zeros(1, 1)])
    assert torch.equal(free.states_v[0], nudged.states_v[0])
    sigma = 1e-7 * chip.datasheet.neurons.transimpedance_ohm
    assert abs(float(free.states_v[0].std()) / sigma - 1) < 4.5 / math.sqrt(4000)
