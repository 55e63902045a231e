import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import BudgetSpent, OutOfRange
from drivers.guard import Guard, Limits
from firmware_specs.messages import Region

CHIP = {
    "max_drive_a": 6e-3,
    "max_read_v": 0.2,
    "max_pulse_v": 3.0,
    "max_pulse_s": 1e-3,
    "max_pulses_per_cell": 100,
    "max_temperature_k": 358.0,
}
REGION = Region(0, 0, 0, 0, 2, 0, 3)


@pytest.fixture
def guard():
    guard = Guard(Limits.tightest({"chip": CHIP, "bench file lab.toml": {"max_drive_a": 5e-3}}), "serial:x")
    guard.open_ledger((0, 0, 0), np.zeros((2, 3), np.int64), np.zeros((2, 3)))
    return guard


def test_tightest_source_wins_and_is_named():
    limits = Limits.tightest({"chip": CHIP, "board": {"max_read_v": 0.1}, "run": {"max_read_v": 0.15}})
    assert (limits.max_read_v.value, limits.max_read_v.source) == (0.1, "board")
    assert limits.max_drive_a.source == "chip"
    assert math.isinf(limits.max_energy_per_cell_j.value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_limit_that_is_no_limit_is_refused(value):
    with pytest.raises(OutOfRange, match="bench: max_read_v"):
        Limits.tightest({"chip": CHIP, "bench": {"max_read_v": value}})


def test_unknown_and_missing_limits_are_refused():
    with pytest.raises(OutOfRange, match="unknown limit 'max_drive'"):
        Limits.tightest({"chip": CHIP | {"max_drive": 1.0}})
    with pytest.raises(OutOfRange, match="max_read_v"):
        Limits.tightest({"chip": {k: v for k, v in CHIP.items() if k != "max_read_v"}})


def test_current_at_the_limit_passes_and_the_next_number_does_not(guard):
    guard.current("drive", np.array([5e-3, -5e-3]))
    for value in (math.nextafter(5e-3, 1), -math.nextafter(5e-3, 1)):
        with pytest.raises(OutOfRange, match=r"max_drive_a = 0\.005 A \(bench file lab\.toml\)"):
            guard.current("drive", np.array([0.0, value]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e308, -1e308])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_overflow_or_nan_passes_any_check(guard, bad, dtype):
    with np.errstate(over="ignore"):
        values = np.array([[0.0, bad]], dtype=dtype)
    for check in (lambda: guard.current("drive", values), lambda: guard.read_voltage(values)):
        with pytest.raises(OutOfRange):
            check()
    with pytest.raises(OutOfRange):
        guard.temperature(bad if bad > 0 else math.nan)


def test_infinities_of_both_signs_do_not_cancel(guard):
    with pytest.raises(OutOfRange, match=r"2 of 2 values are not finite, the first is inf at \(0,\)"):
        guard.finite("drive", np.array([math.inf, -math.inf]))


def test_large_finite_values_are_finite(guard):
    guard.finite("drive", np.full(100, 1.7e308))


@pytest.mark.parametrize("values", [np.array(["1"]), np.array([1j]), np.array([None])])
def test_what_is_no_number_is_refused(guard, values):
    with pytest.raises(OutOfRange, match="numbers are needed"):
        guard.current("drive", values)


@pytest.mark.parametrize("value", [-1, 11, 1.0, True, "1", None, math.nan])
def test_count_takes_integers_in_range_only(guard, value):
    with pytest.raises(OutOfRange, match="pulses"):
        guard.count("pulses", value, 10)
    assert guard.count("pulses", np.int64(10), 10) == 10


@pytest.mark.parametrize(
    ("amplitude_v", "width_s"),
    [(3.1, 1e-6), (1.0, 1.1e-3), (0.0, 1e-6), (-1.0, 1e-6), (math.nan, 1e-6), (1.0, math.inf)],
)
def test_pulse_beyond_its_limits_is_refused_and_not_charged(guard, amplitude_v, width_s):
    with pytest.raises(OutOfRange):
        guard.charge_pulses(REGION, amplitude_v, width_s, np.ones((2, 3), int), 1e-3)
    assert guard.spent((0, 0, 0))[0].sum() == 0


def test_pulse_budget_stops_hard_and_names_the_cell(guard):
    counts = np.zeros((2, 3), int)
    counts[1, 2] = 100
    guard.charge_pulses(REGION, 1.0, 1e-6, counts, 1e-3)
    with pytest.raises(BudgetSpent, match=r"cell \(1, 2\) would have 101"):
        guard.charge_pulses(REGION, 1.0, 1e-6, np.ones((2, 3), int), 1e-3)
    assert guard.spent((0, 0, 0))[0].sum() == 100
    counts[1, 2] = 0
    guard.charge_pulses(REGION, 1.0, 1e-6, counts + (counts == 0) * np.array([[1, 1, 1], [1, 1, 0]]), 1e-3)


def test_energy_budget_stops_hard():
    guard = Guard(Limits.tightest({"chip": CHIP | {"max_energy_per_cell_j": 5.5e-9}}))
    guard.open_ledger((0, 0, 0), np.zeros((2, 3), np.int64), np.zeros((2, 3)))
    for _ in range(5):
        guard.charge_pulses(REGION, 1.0, 1e-6, np.ones((2, 3), int), 1e-3)
    with pytest.raises(BudgetSpent, match="max_energy_per_cell_j"):
        guard.charge_pulses(REGION, 1.0, 1e-6, np.ones((2, 3), int), 1e-3)
    assert guard.spent((0, 0, 0))[1] == pytest.approx(np.full((2, 3), 5e-9))


def test_writes_count_against_the_budget(guard):
    for _ in range(100):
        guard.charge_writes((0, 0, 0), np.array([4]))
    with pytest.raises(BudgetSpent, match=r"cell \(1, 1\)"):
        guard.charge_writes((0, 0, 0), np.array([0, 4]))
    assert guard.spent((0, 0, 0))[0][0, 0] == 0


def test_ledger_never_forgets(guard):
    guard.charge_pulses(REGION, 1.0, 1e-6, np.full((2, 3), 7), 1e-3)
    guard.open_ledger((0, 0, 0), np.full((2, 3), 3), np.zeros((2, 3)))
    assert (guard.spent((0, 0, 0))[0] == 7).all()


@given(st.lists(st.integers(0, 60), min_size=6, max_size=6), st.lists(st.integers(0, 60), min_size=6, max_size=6))
def test_no_sequence_of_trains_takes_a_cell_beyond_its_budget(first, second):
    guard = Guard(Limits.tightest({"chip": CHIP}))
    guard.open_ledger((0, 0, 0), np.zeros((2, 3), np.int64), np.zeros((2, 3)))
    for counts in (first, second, first):
        try:
            guard.charge_pulses(REGION, 1.0, 1e-6, np.array(counts).reshape(2, 3), 1e-3)
        except BudgetSpent:
            continue
    assert guard.spent((0, 0, 0))[0].max() <= 100
