"""Chips with known converters and neurons: a calibration finds them, and its uncertainties are honest."""

from functools import cache

import numpy as np
import pytest

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.calibrate.measure import measure_array

# in `make soak` 20 chips: 1,780 figures
SEEDS = [pytest.param(range(2), id="2 chips"), pytest.param(range(20), id="20 chips", marks=pytest.mark.soak)]
TOPOLOGY = dense_chain([10, 8, 4], slope=0.5)
STATES = np.array([0.25, 0.5, 0.75])


def sheet_of(seed):
    """Random converters, neurons and cells."""
    draw = np.random.default_rng(seed)
    sheet = load("mixed-8bit").model_dump()
    tau_s = draw.uniform(2e-7, 8e-7)
    sheet["neurons"] |= {
        "gain_mismatch_sigma": draw.uniform(0.01, 0.05),
        "offset_mismatch_sigma_v": draw.uniform(0.005, 0.03),
        "node_capacitance_f": tau_s / sheet["neurons"]["transimpedance_ohm"],
    }
    sheet["drive_dac"]["bits"] = 12
    sheet["state_adc"] |= {
        "bits": 10, "low_v": -0.2, "high_v": 1.2, "noise_sigma_v": draw.uniform(5e-4, 2e-3),
        "inl_lsb": draw.uniform(0, 4), "gain_error_sigma": 0.01, "offset_error_sigma_lsb": 1.0,
    }  # fmt: skip
    sheet["output_adc"]["bits"] = 12
    sheet["settle"] |= {"mode": "transient", "time_s": 1e-5, "tolerance": 3e-3}
    sheet["cells"]["programming_noise"] = draw.uniform(0.002, 0.008)
    return Datasheet.model_validate(sheet)


@cache
def deviations(seed, noise_lsb=None):
    """Found minus true in stated standard uncertainties, by figure; at another noise of the ADC where one is given."""
    sheet = sheet_of(seed)
    if noise_lsb is not None:
        quiet = sheet.state_adc.model_copy(update={"noise_sigma_v": noise_lsb * sheet.state_adc.lsb})
        sheet = sheet.model_copy(update={"state_adc": quiet})
    chip = Chip(sheet, seed)
    with crossbar_of_chip(chip) as crossbar:
        found = measure_array(crossbar, 0, TOPOLOGY)
    tau, once = found.settling.tau_s, [cells.once for cells in found.cells]
    z = {"tau": [(tau.value - sheet.neurons.tau_s) / tau.sigma]}
    z["write"] = [(e.value - sheet.cells.programming_noise) / e.sigma for e in once]
    for number, layer in enumerate(found.layers):
        spec = TOPOLOGY.layers[number]
        circuits, channels = chip.arrays[0].network.neurons[number], chip.arrays[0].states[number]
        gain, offset = circuits.gain.numpy(), circuits.offset.numpy()
        z[f"gain {number}"] = (layer.gain - gain / spec.gain) / layer.gain_sigma
        z[f"offset {number}"] = (layer.offset + offset / gain) / layer.offset_sigma
        if spec.clamped:
            low, high = (read(sheet.state_adc, channels, s) for s in (0.0, 1.0))
            z[f"channel gain {number}"] = (layer.read_gain - (high - low)) / layer.read_gain_sigma
            z[f"channel offset {number}"] = (layer.read_offset - low) / layer.read_offset_sigma
            curve = [np.mean((read(sheet.state_adc, channels, s) - low) / (high - low) - s) for s in STATES]
            z[f"curve {number}"] = (layer.adc.curve(STATES) - curve) / layer.adc.curve_sigma
    return {name: np.asarray(values) for name, values in z.items()}


def read(adc, channels, state):
    """What every channel reads of a state, without rounding and noise."""
    volts = state * (1 + channels.gain.numpy()) + channels.offset_lsb.numpy() * adc.lsb
    codes = np.rint((volts - adc.low) / adc.lsb).astype(int)
    return volts + channels.curve_lsb.numpy()[codes] * adc.lsb


@pytest.mark.parametrize("seeds", SEEDS)
def test_gain_offset_linearity_and_settle_time_are_the_true_ones_and_95_percent_intervals_cover(seeds):
    for seed in seeds:
        found = deviations(seed)
        # one of 1,780 is at 5.1: a draw of the noise, see docs/how-to/calibration.md
        assert {(seed, k): np.round(z, 1) for k, z in found.items() if np.abs(z).max() > 6} == {}
        assert (np.abs(np.concatenate(list(found.values()))) > 3).mean() <= 0.03
    figures = [np.concatenate(list(deviations(seed).values())) for seed in seeds]
    assert 0.90 <= (np.abs(np.concatenate(figures)) < 1.96).mean() <= 0.99


def test_rounding_of_an_adc_too_quiet_to_average_it_out_is_in_the_uncertainty_of_the_channels():
    found = deviations(0, noise_lsb=0.1)
    z = np.concatenate([v for k, v in found.items() if k.startswith("channel")])
    assert np.abs(z).max() < 3  # rounding is off by half a step at most, which is 1.7 of its standard deviations
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.2
