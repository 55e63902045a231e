"""Joules of settles against their own sum: a run has its power and not its beginning's, whatever the clock says."""

import pytest
import torch

from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from hil.counterparts import heat

G_S = 5e-5


@pytest.fixture(params=["stands still", "runs"])
def clock(request, monkeypatch):
    """Of the computing host: no time ever passes, or each look at it is an hour later."""
    now = [0.0]

    def read():
        now[0] += 3600.0 * (request.param == "runs")
        return now[0]

    monkeypatch.setattr(heat.time, "perf_counter", read)


@pytest.mark.parametrize(("settles", "within"), [(1, 1e-6), (4, 1e-6), (60, 0.03), (1000, 0.03)])
@pytest.mark.usefixtures("clock")
def test_power_that_grows_over_a_run_is_followed(settles, within):
    sheet = load("discrete-board")
    counted = heat.Heat(sheet, dense_chain([1, 1], bias=False), 1.0)
    counted.written([torch.full((2, 1, 1), G_S, dtype=torch.float64)])
    exact, phase_s = [0.0, 0.0], sheet.settle.time_s + sheet.read_time_s
    for number in range(settles):
        free, nudged = 0.1 + number / settles, 0.2 + 2 * number / settles
        phases = [(torch.zeros(1, 1), torch.tensor([[volts]])) for volts in (free, nudged, nudged)]
        counted.settled(torch.zeros(1, 1), phases, 1, None)
        exact[0] += 2 * G_S * free**2 * phase_s
        exact[1] += 2 * 2 * G_S * nudged**2 * phase_s
    deeds = counted.take()
    assert (deeds.free_j, deeds.nudged_j) == pytest.approx(exact, rel=within)
    assert deeds.array_j == pytest.approx(deeds.free_j + deeds.nudged_j)
