"""No verdict takes what is not a number for a yes; figures state all of their uncertainty."""

import math

import numpy as np
import pytest

from hil.learning.gradients.gradcheck import Agreement, Gradcheck
from hil.measuring import robust, settle_time, verdict
from hil.measuring.characterize import health
from hil.measuring.characterize.distance import Distance
from hil.measuring.characterize.figure import Figure
from hil.measuring.estimate import Estimate

NAN = float("nan")
NUMBERS = [(NAN, 1.0), (1.0, NAN), (NAN, NAN), (1.0, math.inf)]


@pytest.mark.parametrize(("value", "sigma"), NUMBERS)
def test_a_figure_that_is_no_number_agrees_with_nothing(value, sigma):
    assert Figure("a.b", Estimate(value, sigma), 1.0).verdict == "not measured"
    assert Figure("a.b", Estimate(1.0, 1.0), NAN).verdict == "not measured"


def test_nan_is_within_no_limit_and_beyond_every_one():
    for value, limit in ((NAN, 1.0), (1.0, NAN), (NAN, NAN)):
        assert not verdict.within(value, limit)
        assert verdict.beyond(value, limit)
    assert verdict.within(1.0, 1.0) and verdict.beyond(1.1, 1.0)


@pytest.mark.parametrize("p_value", [NAN, 0.0])
def test_a_distance_that_is_no_number_is_no_likeness(p_value):
    assert Distance("read_noise", NAN, p_value, 10).rejected


def test_runs_are_within_uncertainty_only_where_all_are_numbers():
    good = Estimate(1.0, 0.1)
    for value, sigma in NUMBERS:
        assert verdict.between([good, Estimate(value, sigma)]) == "not measured on all"
    assert verdict.between([good, Estimate(1.1, 0.1)]) == "within uncertainty"
    assert verdict.between([good, Estimate(2.0, 0.1)]) == "7.1 times the uncertainty"


def test_figures_without_an_uncertainty_are_compared_as_what_they_are():
    exact = [Estimate(0.5, 0.0), Estimate(0.5, 0.0)]
    assert verdict.between(exact) == "the same"
    assert verdict.between([*exact, Estimate(0.6, 0.0)]) == "differ, no uncertainty is known"
    assert verdict.between([exact[0], Estimate(0.52, 0.1)]) == "within uncertainty"


def test_a_cell_that_reads_nan_does_not_work():
    low, high = np.full((2, 8, 8), 0.1), np.full((2, 8, 8), 0.9)
    high[1, 2, 3] = NAN
    found = health.classify(low, high)
    assert found[1, 2, 3] != health.GOOD and int((found != health.GOOD).sum()) == 1
    assert (health.classify(np.full((1, 8, 8), NAN), np.full((1, 8, 8), NAN)) != health.GOOD).all()


def test_states_that_are_no_numbers_are_not_at_rest():
    waits = np.array([1.0, 0.5, 0.25, 0.1, 0.05])
    states = np.full((5, 8, 4), 0.7)
    states[2:] = NAN
    with pytest.raises(ValueError):
        settle_time.conclude(waits, states)


def test_a_gradient_that_is_no_number_is_the_worst():
    result = Gradcheck({"a": Agreement(1.0, 1.0), "b": Agreement(NAN, NAN), "c": Agreement(0.9, 1.1)}, 1.0, 0)
    assert math.isnan(result.min_cosine) and math.isnan(result.max_norm_error)


def test_values_that_are_no_numbers_are_outside_the_crowd():
    values = np.array([1.0, 1.1, 0.9, 1.05, NAN, math.inf])
    assert robust.typical(values).tolist() == [True] * 4 + [False] * 2
    assert robust.mean(values).value == pytest.approx(1.0125)
    assert math.isnan(robust.mean(np.full(4, NAN)).value)


def test_an_uncertainty_shows_its_parts():
    found = Estimate(1.0, 0.3).widened(INL_and_DNL=0.4, rounding=0.0)
    assert found.sigma == pytest.approx(0.5)
    assert found.statistical == pytest.approx(0.3)
    assert found.budget == (("INL and DNL", 0.4),)
    assert found.scaled(-2.0, "V").systematic == pytest.approx(0.8)
    assert Estimate(0.0, 1.0, freedom=3.0).expanded(0.95) == pytest.approx(3.18, abs=0.01)
    assert Estimate(0.0, 1.0).expanded(0.95) == pytest.approx(1.96, abs=0.01)


@pytest.mark.parametrize("true", [0.0, 0.002, 0.01])
def test_a_spread_beside_its_error_has_an_interval_that_holds_it(true):
    held = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        values = true * draw.standard_normal(200) + 0.005 * draw.standard_normal(200)
        low, high = robust.spread(values, 0.005**2).interval()
        held += low <= true <= high
    assert held >= 0.9 * 300


def test_a_mean_and_a_spread_do_not_move_with_a_few_stuck_cells():
    draw = np.random.default_rng(1)
    values = draw.normal(1.0, 0.02, 200)
    wild = np.concatenate([values, [25.0, -3.0, 7.0]])
    assert robust.mean(wild).value == pytest.approx(values.mean(), abs=1e-9)
    assert robust.spread(wild).value == pytest.approx(values.std(ddof=1), rel=1e-6)


def test_dead_lines_are_told_from_single_stuck_cells():
    low, high = np.full((2, 16, 12), 0.15), np.full((2, 16, 12), 0.85)
    high[0, 5] = low[0, 5] = -0.01
    high[1, :, 7] = low[1, :, 7] = -0.01
    high[1, 3, 4] = low[1, 3, 4] = 1.0
    found = health.classify(low, high)
    assert (found == health.DEAD_LINE).sum() == 12 + 16
    assert found[1, 3, 4] == health.STUCK_HIGH
    assert (found == health.GOOD).sum() == 2 * 16 * 12 - 29


@pytest.mark.parametrize("scatter", [6e-4, 6e-3, 0.2])
def test_the_median_of_what_follows_a_design_is_as_uncertain_as_its_scatter(scatter):
    """Values that follow a level over half a decade: their course is no uncertainty, wider than the scatter or not."""
    rng, level = np.random.default_rng(2), np.linspace(0.2, 0.9, 900)
    course = 0.1 / level
    found = [robust.designed_median(course + scatter * rng.normal(size=900), level) for _ in range(60)]
    assert np.mean([f.sigma for f in found]) == pytest.approx(np.std([f.value for f in found]), rel=0.3)
    assert robust.designed_median(course, level).sigma < 0.1 * robust.median(course).sigma
    assert robust.designed_median(level[:20], level[:20]) == robust.median(level[:20])
