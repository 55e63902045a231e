"""Read noise that grows with age is told from noise that does not, and its figures are within their uncertainty."""

import numpy as np
import pytest

from hil.measuring.laws import flicker
from hil.measuring.laws.samples import Range

WITHIN = Range(1e-7, 2.5e-5)
AGES = np.array([1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6])


def scattered(sigma, cells=400, reads=8, seed=0):
    """Variances of readings of cells all over the range; sigma(G, t) in siemens."""
    rng = np.random.default_rng(seed)
    siemens = np.repeat(rng.uniform(0.1, 0.95, (cells, 1)) * WITHIN.high_s, len(AGES), axis=1)
    readings = siemens + sigma(siemens, AGES) * rng.normal(size=(reads, cells, len(AGES)))
    return flicker.Scatter(readings.mean(axis=0), readings.var(axis=0, ddof=1), AGES, reads - 1)


def of_phase_change_memory(g, t):
    """1/f noise of PCM as published (Nandakumar et al. 2019, in aihwkit): `0.0088 / g^0.65`, a reading of 250 ns."""
    return g * 0.0088 / (g / WITHIN.high_s) ** 0.65 * np.sqrt(np.log((t + 250e-9) / (2 * 250e-9)))


def test_published_noise_of_phase_change_memory_is_found_with_its_figures():
    found = flicker.choose(scattered(of_phase_change_memory), WITHIN)
    assert found.law == "flicker" and found.scores[1].behind > 10
    keys, error = found.sections["read_noise"], found.uncertainty
    assert abs(keys["scale"] - 0.0088) < 3 * error["read_noise.scale"] < 0.0044
    assert abs(keys["exponent"] - 0.65) < 3 * error["read_noise.exponent"] < 0.2
    assert abs(np.log(keys["t_read_s"] / 250e-9)) < 4.0  # one or two decades: noise depends on its logarithm
    at = np.array([1.0, 1e6]), np.array([[2e-6], [2e-5]])
    law = keys["scale"] / (at[1] / WITHIN.high_s) ** keys["exponent"] * at[1]
    law = law * np.sqrt(np.log(at[0] / (2 * keys["t_read_s"]) + 0.5))
    assert law == pytest.approx(of_phase_change_memory(at[1], at[0]), rel=0.08)


@pytest.mark.parametrize(
    ("law", "sigma"), [("relative", lambda g, t: 0.01 * g), ("additive", lambda g, t: 1e-8 + 0.0 * g)]
)
def test_noise_that_does_not_grow_is_not_taken_for_1_f_noise(law, sigma):
    found = flicker.choose(scattered(sigma, cells=200), WITHIN)
    assert found.law == law


def test_readings_of_one_age_say_nothing_of_growth():
    one = scattered(of_phase_change_memory, cells=20)
    with pytest.raises(ValueError, match="ages"):
        flicker.choose(flicker.Scatter(one.siemens[:, :1], one.variance_s2[:, :1], AGES[:1], 7), WITHIN)
