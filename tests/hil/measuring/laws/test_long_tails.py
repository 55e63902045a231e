"""A walk by jumps has long tails, of which readings show a part: a walk drawn by hand says how large it is."""

import numpy as np
import pytest

from hil.measuring.laws import changes, samples
from hil.measuring.laws.samples import Range
from hil.measuring.laws.shown import unseen
from hil.measuring.laws.walks import Walk

AGES = np.array([0.01, 1.0, 1e5])
SLOPE_US2, JUMPS, LEAN_US, VOLATILITY, NOISE_US = 0.9, 3.5, -0.09, 0.36, 0.15
FOLDS = np.array([0.9, 5.3, 17.0])


def drawn(cells, seed):
    """Jumps come as a gamma process of the walk's own time; each cell moves by its own share; starts 10 to 31 uS."""
    rng = np.random.default_rng(seed)
    time, moved = np.zeros(cells), np.zeros(cells)
    own = np.exp(VOLATILITY * (rng.normal(size=cells) - VOLATILITY))
    start = rng.uniform(10, 31, cells)
    columns = [start]
    for folds in np.diff(FOLDS, prepend=0.0):
        time = rng.gamma(folds / JUMPS, JUMPS, cells)
        moved = (
            moved + LEAN_US * (time - folds) + np.sqrt((SLOPE_US2 - LEAN_US**2 * JUMPS) * time) * rng.normal(size=cells)
        )
        columns.append(np.maximum(start + own * moved, 0.0))
    true = np.stack(columns, axis=1)
    return true + NOISE_US * rng.normal(size=true.shape), own


def test_what_is_left_out_and_what_ends_at_zero_is_given_back_to_the_variance():
    seen, _ = drawn(150_000, 1)
    data = samples.Retention(seen * 1e-6, np.array([0.0, *AGES]), np.full(len(seen), np.nan), np.arange(len(seen)))
    ready = changes.prepare(data, Range(1e-6, 40e-6))
    shown = np.nanvar(ready.change, axis=0)
    assert (np.isnan(ready.change).mean(axis=0) > 0)[0]  # some of the tail is left out at the first age
    noise2 = 2 * NOISE_US**2
    whole = SLOPE_US2 * FOLDS + noise2
    assert shown[0] / whole[0] < 0.97 and shown[-1] / whole[-1] < 0.985  # by the limits, and by cells that reach 0
    clock = (shown - noise2) / SLOPE_US2
    times = unseen(ready, Walk(SLOPE_US2, JUMPS, LEAN_US, noise2), clock, np.zeros(3), VOLATILITY)
    assert clock * times == pytest.approx(FOLDS, rel=0.02)  # of the true one; 0.5 to 1 % by these cells' own luck


def test_a_reading_that_is_absurd_is_left_out_and_hides_no_other():
    seen, _ = drawn(4000, 2)
    seen[:40, 2] = 1e3  # one in a hundred, 500 times what cells move by
    data = samples.Retention(seen * 1e-6, np.array([0.0, *AGES]), np.full(len(seen), np.nan), np.arange(len(seen)))
    ready = changes.prepare(data, Range(1e-6, 40e-6))
    assert np.isnan(ready.change[:40, 1]).all() and np.isnan(ready.change[40:, 1]).mean() < 2e-3
    assert np.nanvar(ready.change[:, 1]) == pytest.approx(SLOPE_US2 * FOLDS[1], rel=0.15)
