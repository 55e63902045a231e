"""Rounded readings: what their mean is off and how they scatter, against drawn ones."""

import numpy as np
import pytest

from hil.measuring.calibrate import rounding


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2, 0.3])
def test_offset_and_scatter_of_rounded_readings_are_those_of_drawn_ones(sigma):
    draw = np.random.default_rng(0)
    places = np.linspace(0, 1, 1000, endpoint=False)
    readings = np.rint(places + sigma * draw.standard_normal((1000, len(places))))
    scatter = np.sqrt(readings.var(axis=0).mean())
    assert rounding.before(scatter) == pytest.approx(sigma, rel=0.05)
    off = np.sqrt(np.mean((readings.mean(axis=0) - places) ** 2) - scatter**2 / len(readings))
    assert rounding.offset(sigma) == pytest.approx(off, rel=0.05)


def test_without_noise_a_mean_is_off_by_what_one_reading_is():
    assert rounding.offset_of(0.0, 2.0) == pytest.approx(2 / np.sqrt(12), rel=0.01)


def test_noise_of_a_step_leaves_nothing_and_an_ideal_converter_has_no_steps():
    assert rounding.before(np.sqrt(1 + 1 / 12)) == pytest.approx(1, rel=1e-3)
    assert rounding.offset_of(1.0, 1.0) < 1e-6
    assert rounding.offset_of(0.01, 0.0) == 0
