"""Six ramps each way are enough to tell a law that predicts them from one that does not."""

import numpy as np
import pytest

from hil.measuring.laws import ramps
from hil.measuring.laws.responses import FAMILIES
from hil.measuring.laws.samples import Ramps

PULSES = 60
STEP, NOISE = 0.0168, 0.0014
"""Towards a bound at 1.63 and away from one at -0.05 of the range that was seen: no soft bounds at 0 and 1."""


def up_and_down(cells: int, cycles: int) -> list[Ramps]:
    """Cells without spread; each pulse moves them by a share of what is left, and a little at random."""
    random = np.random.default_rng(5)
    seen = np.zeros((2, cells, cycles, PULSES))
    x = np.zeros(cells)
    for cycle in range(cycles):
        for way, bound in enumerate((1.63, -0.05)):
            for pulse in range(PULSES):
                x = x + STEP * abs(bound - x) / 1.68 * (1 - 2 * way) + NOISE * random.standard_normal(cells)
                seen[way, :, cycle, pulse] = x
    given = np.tile([0.0] + [1.0] * (PULSES - 1), (cells * cycles, 1))
    cell = np.repeat(np.arange(cells), cycles)
    return [Ramps(x.reshape(-1, PULSES), given, cell, up=way == 0) for way, x in enumerate(seen)]


def test_a_law_far_behind_on_held_out_ramps_is_not_taken_for_its_simplicity():
    families = [f for f in FAMILIES if f.name in ("linear", "soft_bounds")]
    chosen = ramps.choose(up_and_down(3, 2), families)
    assert chosen.law.startswith("linear")
    behind = {score.law: score for score in chosen.scores}["soft_bounds"]
    assert behind.behind > 50
    at_mid_range = (1.63 - 0.5 + 0.5 + 0.05) / 1.68 / 2
    assert chosen.sections["pulses"]["step"] == pytest.approx(STEP * at_mid_range, rel=0.1)
