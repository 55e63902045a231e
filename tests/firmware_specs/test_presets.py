"""The shipped device presets say what their sources say."""

import math

import pytest

from firmware_specs.datasheet import load


def test_pcm_has_the_published_noise_polynomial_and_drift():
    sheet = load("pcm")
    assert [sheet.programming.sigma_s(g) * 1e6 for g in (0.0, 0.5, 1.0)] == pytest.approx([0.26, 0.95, 1.06], abs=0.01)
    drift = sheet.drift
    assert [drift.nu_mean.at(g) for g in (0.1, 0.5, 1.0)] == pytest.approx([0.06, 0.049, 0.049], abs=1e-3)
    assert [drift.nu_sigma.at(g) for g in (0.1, 0.5, 1.0)] == pytest.approx([0.023, 0.008, 0.008], abs=1e-3)
    assert sheet.pulses.one_sided
    assert sheet.pulses.states == pytest.approx(200)


def test_reram_has_the_published_noise_polynomial():
    sigma = load("reram").programming.sigma_s
    assert [sigma(g) * 1e6 for g in (0.0, 0.5, 1.0)] == pytest.approx([0.35, 2.02, 1.10], abs=0.01)
    assert sigma(0.25) * 1e6 == pytest.approx(2.26, abs=0.05)
    assert load("reram").pulses.states == pytest.approx(1000)


def test_ecram_has_the_published_pulses():
    pulses = load("ecram").pulses
    assert pulses.states == pytest.approx(1000)
    assert pulses.response(1.0, True) == pytest.approx(1 - 0.1153)
    assert pulses.response(0.0, False) == pytest.approx(1 - 0.5085)
    assert pulses.zero == pytest.approx(0.8276 / 2, abs=1e-4)


@pytest.mark.parametrize("name", ["pcm", "reram", "ecram", "reram-few-levels"])
def test_presets_name_their_sources_and_can_be_pulsed_back_and_forth(name):
    sheet = load(name)
    assert sheet.identity.source
    assert max(sheet.pulses.pulses_across(up) for up in (True, False)) < sheet.limits.max_pulses_per_cell


@pytest.mark.parametrize("name", ["rram-relaxing", "rram-array", "reram-gong", "pcm-reset"])
def test_sheets_fitted_to_published_tables_name_source_and_licence(name):
    sheet = load(name)
    assert "licence" in sheet.identity.source and sheet.identity.model == name


def test_rram_array_steps_as_the_ramps_of_crosssim_did():
    """Steps over the range at x = 0.1 .. 0.9, up and down, as computed from the table once."""
    pulses = load("rram-array").pulses
    x = (0.1, 0.3, 0.5, 0.7, 0.9)
    up = [pulses.step * pulses.response(v, True) for v in x]
    down = [pulses.step * pulses.response(v, False) for v in x]
    assert up == pytest.approx([0.0029, 0.0047, 0.0058, 0.0067, 0.0080], rel=0.06)
    assert down == pytest.approx([0.0060, 0.0060, 0.0065, 0.0070, 0.0059], rel=0.12)


def test_pcm_reset_is_not_monotone_in_the_height():
    reset = load("pcm-reset").pulses.reset
    log_ohm = [-math.log10(reset.at(volts)[0]) for volts in (1.0, 1.4, 1.8, 2.2, 2.6)]
    assert log_ohm == pytest.approx([4.61, 4.98, 4.97, 4.95, 5.72], abs=0.03)
