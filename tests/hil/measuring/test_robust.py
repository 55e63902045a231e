"""Means of few readings: intervals hold the true value as often as they say, and one wild value moves nothing."""

import numpy as np
import pytest
import xarray as xr

from hil.measuring import robust
from hil.measuring.characterize.items.drift import Drift
from hil.measuring.characterize.items.found import mean_level
from hil.measuring.characterize.items.item import ladder_of


@pytest.mark.parametrize("count", [3, 4, 8])
def test_95_percent_intervals_of_a_few_normal_readings_hold_the_mean_95_times_in_a_hundred(count):
    draws = np.random.default_rng(count).normal(0.3, 0.02, (400, count))
    inside = sum(abs(found.value - 0.3) <= found.expanded(0.95) for found in map(robust.mean, draws))
    assert 367 <= inside <= 393  # 3 standard deviations of 400 draws


@pytest.mark.parametrize("count", [8, 64, 1024])
def test_a_wild_value_among_many_is_left_out_and_a_value_that_is_none_is_too(count):
    values = np.random.default_rng(1).normal(0.3, 0.001, count)
    spoilt = np.concatenate([values, [7.0, np.nan]])
    assert not robust.typical(spoilt)[-2:].any()
    assert robust.mean(spoilt).value == pytest.approx(0.3, abs=0.002)


def test_equal_values_are_all_of_the_crowd_and_nothing_is_no_crowd():
    assert robust.typical(np.full(9, 0.5)).all()
    assert not robust.typical(np.full(9, np.nan)).any()


@pytest.mark.parametrize("common", [0.0, 3e-5])
def test_the_mean_level_of_many_cells_read_four_times_is_where_its_interval_says(common):
    """Ten of 400 cells are 100 times as noisy as the others, as stuck ones are; or all move alike besides."""
    rng, inside = np.random.default_rng(5), 0
    noise = np.where(np.arange(400) < 10, 1e-2, 1e-4)
    for _ in range(300):
        readings = 0.2 + rng.normal(0, common * 20, (4, 1)) + rng.normal(0, noise, (4, 400))
        found = mean_level(readings)
        inside += abs(found.value - 0.2) <= found.expanded(0.95)
    assert 274 <= inside <= 296  # 3 standard deviations of 300 draws


def test_cells_that_read_the_same_every_time_have_a_level_without_scatter():
    assert mean_level(np.tile(np.linspace(0, 1, 11), (4, 1))).sigma == 0


def test_what_drift_leaves_is_as_uncertain_as_it_scatters_where_writes_err():
    """Charge leaks to one level whatever was written: what is kept depends on the level, and cells miss theirs."""
    shape, low_s, high_s = (2, 16, 16), 1e-6, 10e-6
    rng, ages, off = np.random.default_rng(5), np.array([1.0, 1e4, 1e5, 1e6]), []
    target = ladder_of(shape, 0.2)
    truth = np.median(1 / (1 + 9 * (target + 0.01 * rng.normal(size=(2000, *shape)))))
    for _ in range(60):
        written = target + 0.01 * rng.normal(size=shape)
        level = written * np.exp(-np.array(ages) / 5e4)[:, None, None, None]
        level = level[:, None] + 1e-4 * rng.normal(size=(4, 4, *shape))
        data = xr.Dataset(
            {"level": (("step", "read", "plane", "row", "column"), level), "age": ("step", ages)},
            attrs={"g_min_s": low_s, "g_max_s": high_s},
        )
        kept = next(f for f in Drift().conclude(data, None) if f.name == "drift.kept").measured
        off.append((kept.value - truth) / kept.sigma)
    assert 0.75 < np.sqrt(np.mean(np.square(off))) < 1.3
