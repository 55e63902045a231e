"""The shipped device presets say what their sources say."""

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


@pytest.mark.parametrize("name", ["pcm", "reram", "ecram"])
def test_presets_name_their_sources_and_can_be_pulsed_back_and_forth(name):
    sheet = load(name)
    assert sheet.identity.source
    assert max(sheet.pulses.pulses_across(up) for up in (True, False)) < sheet.limits.max_pulses_per_cell
