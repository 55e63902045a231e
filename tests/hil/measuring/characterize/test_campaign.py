"""The campaign of figures: chips of known physics, sound and faulty, and how often what is stated of them is true."""

import math

import pytest

from benchmarks.figures import FAULTS, PRESETS, campaign, covered

CHIPS = 6


@pytest.mark.soak
@pytest.mark.parametrize("preset", PRESETS)
def test_figures_are_true_as_often_as_they_say(preset):
    rows = list(campaign([preset], FAULTS, CHIPS))
    assert all(math.isfinite(row["value"]) and math.isfinite(row["sigma"]) for row in rows)
    inside = [c for c in map(covered, rows) if c is not None]
    assert len(inside) > 100 and 0.90 <= sum(inside) / len(inside) <= 0.995
    verdicts = [row["verdict"] for row in rows if row["stated"]]
    assert len(verdicts) > 100 and sum(v != "agrees" for v in verdicts) <= 0.05 * len(verdicts)


def test_a_campaign_goes_on_where_its_file_ends_and_chips_share_no_noise(tmp_path):
    out = tmp_path / "rows.jsonl"
    first = list(campaign(["mixed-8bit"], ["none"], 1, 6, ["programming"], out))
    again = list(campaign(["mixed-8bit"], ["none", "stuck"], 1, 6, ["programming"], out))
    assert again[: len(first)] == first and {row["figure"] for row in first} >= {"programming.sigma", "health.good"}
    assert len({row["seed"] for row in again}) == 2 and len(out.read_text().splitlines()) == len(again)
    known = [covered(row) for row in again]
    assert True in known and None in known
