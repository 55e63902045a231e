"""Colour scales of maps of cells: neither noise nor a constant is blown up to fill them."""

import numpy as np
import pytest

from hil.report.plot import maps

QUIET = np.random.default_rng(3).normal(1e-6, 2e-9, (2, 16, 16))


def scales(planes):
    """Limits of the colours, one a plane."""
    return [plot.figure().axes[0].images[0].get_clim() for plot in maps("m", "M", planes, "conductance", "S")]


@pytest.mark.parametrize(
    ("planes", "low", "high"),
    [(QUIET, 0.985e-6, 1.015e-6), (np.full((2, 4, 4), 1e-6), 0.985e-6, 1.015e-6), (np.zeros((1, 4, 4)), -0.02, 0.02)],
    ids=["noise", "a constant", "zeros"],
)
def test_a_narrow_range_is_shown_as_narrow(planes, low, high):
    first, *others = scales(planes)
    assert low <= first[0] <= planes.min() and planes.max() <= first[1] <= high
    assert first[1] - first[0] >= 0.0198 * max(np.abs(first))
    assert all(other == first for other in others)


def test_a_wide_range_is_shown_from_end_to_end():
    planes = np.linspace(1e-6, 25e-6, 32).reshape(2, 4, 4)
    assert scales(planes)[0] == pytest.approx((1e-6, 25e-6))
