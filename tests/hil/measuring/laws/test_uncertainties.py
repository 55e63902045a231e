"""Uncertainties of fitted laws hold what they state, on cells of a generator that shares no code with the fits."""

import numpy as np
import pytest

from hil.measuring.laws import ramps
from hil.measuring.laws.maximize import maximize, widened
from hil.measuring.laws.ramp_filter import log_likelihood
from hil.measuring.laws.samples import Ramps

FAMILY = {f.name: f for f in ramps.FAMILIES}
STEP, SLOPE, C2C, READ = 0.006, 0.5, 0.5, 0.006


def walked(rng, cells, count, d2d=0.0, slope=SLOPE, drift=0.0, start=0.05):
    """Cells that are pulsed up one pulse at a time: levels as read, (cells, readings).

    With `drift` the readings wander slowly, which no law of the fits without slow noise knows.
    """
    factor = np.exp(d2d * rng.normal(size=cells))
    level, wander = np.full(cells, start), np.zeros(cells)
    rows = []
    for number in range(count):
        if number:
            level = level + STEP * factor * (1 - slope * (2 * level - 1)) * (1 + C2C * rng.normal(size=cells))
            wander = 0.95 * wander + drift * rng.normal(size=cells)
        rows.append(level + wander + READ * rng.normal(size=cells))
    return np.stack(rows, axis=1)


def as_ramps(x, up=True):
    pulses = np.ones_like(x)
    pulses[:, 0] = 0
    return Ramps(x if up else 1 - x, pulses, np.arange(len(x)), up)


def of_one_cell(x, name, slow=False):
    family = FAMILY[name]
    return ramps.fit(ramps.turned(as_ramps(x), True)[0], family, slow=slow)


@pytest.mark.parametrize(("name", "slope", "count", "drift"), [
    ("constant", 0.0, 100, 0.0), ("linear", SLOPE, 130, 0.0), ("constant", 0.0, 100, 0.004),
])  # fmt: skip
def test_the_step_of_one_cell_is_as_uncertain_as_it_says(name, slope, count, drift):
    """Also where readings wander, of which the law says nothing: then scores scatter more than the curvature says."""
    rng = np.random.default_rng(7)
    off = []
    for _ in range(10):
        found = of_one_cell(walked(rng, 1, count, slope=slope, drift=drift), name).found
        off.append((found.best[0] - np.log(STEP)) / found.sigma[0])
    off = np.array(off)
    assert (np.abs(off) < 2.26).sum() >= 8, off  # Student's factor of 9 stretches; 95 % of 10 is 9.5
    assert np.sqrt((off**2).mean()) > 0.3, "stated ten times too large"


@pytest.mark.parametrize(
    ("name", "slow"), [("table with spreads", False), ("table with spreads", True), ("power", True)]
)
def test_a_fit_of_ramps_ends_where_nothing_beside_it_is_more_probable(name, slow):
    """Readings among them that no law expects, and ramps that run into the end of the range."""
    rng = np.random.default_rng(11)
    x = walked(rng, 8, 120, d2d=0.1, drift=0.004 * slow)
    x[rng.random(x.shape) < 0.005] += 0.2
    x = np.clip(x, 0.0, 1.0)
    ways, family = ramps.turned(as_ramps(x), False)[0], FAMILY[name]
    found = ramps.fit(ways, family, slow=slow).found

    def worth(sets):
        return log_likelihood(ways, family, sets, slow)[0].sum(axis=1)

    beside = found.best + rng.normal(size=(100, len(found.best))) * 0.1 * found.sigma
    along = [found.best + sign * size * s * e for s, e in zip(found.sigma, np.eye(len(found.best)), strict=True)
             for sign in (-1, 1) for size in (0.1, 0.5)]  # fmt: skip
    here = worth(found.best[None])[0]
    assert worth(np.array([*beside, *along])).max() < here + 0.1
    assert abs(found.best[0] - np.log(STEP)) < 1.0


def test_steps_of_a_population_are_uncertain_by_what_its_cells_differ():
    """Nine cells whose steps differ by 30 % know the mean of all cells to a tenth, however well each is measured."""
    rng = np.random.default_rng(3)
    off, stated = [], []
    for _ in range(5):
        way = [as_ramps(walked(rng, 9, 50, d2d=0.3, slope=0.0), up) for up in (True, False)]
        found = ramps.choose(way, [FAMILY["constant"]])
        off.append(np.log(found.sections["pulses"]["step"] / STEP))
        stated.append(found.uncertainty["pulses.step"] / found.sections["pulses"]["step"])
    off, stated = np.array(off), np.array(stated)
    assert (np.abs(off) < 2.3 * stated).all()
    assert np.median(stated) == pytest.approx(0.1, rel=0.6)


def test_one_cell_says_what_it_does_not_know():
    rng = np.random.default_rng(1)
    way = [as_ramps(walked(rng, 1, 120, slope=0.0), up) for up in (True, False)]
    found = ramps.choose(way, [FAMILY[n] for n in ("constant", "soft_bounds")])
    assert "pulses.step_d2d" not in found.uncertainty
    assert any("nothing of the spread between cells" in note for note in found.notes)
    assert abs(found.sections["pulses"]["step"] - STEP) < 2.5 * found.uncertainty["pulses.step"]


def test_scores_widen_what_the_curvature_takes_for_independent():
    """Every draw is there four times: the curvature believes in four times as many, the units do not."""
    draws = np.random.default_rng(0).normal(size=50)

    def units(u):
        return -4 * 0.5 * (draws[None] - u[:, :1]) ** 2

    found = maximize(lambda u: units(u).sum(axis=1), [0.0])
    assert found.sigma[0] == pytest.approx(1 / np.sqrt(200), rel=0.01)
    assert widened(found, units).sigma[0] == pytest.approx(draws.std(ddof=1) / np.sqrt(50), rel=0.01)


def test_a_parameter_that_nothing_says_is_uncertain_and_one_beside_the_impossible_too():
    found = maximize(lambda u: -0.5 * u[:, 0] ** 2, [0.5, 0.0])
    assert found.sigma == pytest.approx([1.0, 4.0], rel=0.05)
    edge = maximize(lambda u: np.where(u[:, 0] > 0.01, -u[:, 0], -np.inf), [0.5])
    assert edge.sigma[0] > 1.0
