"""How well parameters are known, by likelihoods whose answer is known."""

import numpy as np
import pytest

from hil.measuring.laws.maximize import WIDE, maximize

KNOWN = 0.1
"""Of the first parameter."""


def one_sided(sets, ripple=0.0):
    """A normal first parameter; the second is the logarithm of what is next to nothing: flat below, steep above.

    Beside: the ripple that sums of rounded densities have.
    """
    first, second = sets.T
    return (
        -0.5 * ((first - 1) / KNOWN) ** 2 - np.exp(2 * (second - first)) + ripple * np.sin(700 * second + 300 * first)
    )


def test_a_normal_parameter_is_known_as_well_as_it_is_and_the_edge_as_far_as_the_likelihood_carries():
    found = maximize(one_sided, [0.8, 0.0], [(-3.0, 5.0), (-3.0, 5.0)])
    assert found.sigma[0] == pytest.approx(KNOWN, rel=0.05)
    reach = found.best[1] + np.array([-1, 1]) * found.sigma[1]
    fallen = one_sided(found.best[None]) - one_sided(np.column_stack([np.full(2, found.best[0]), reach]))
    before = (found.sigma[1] / WIDE) ** 2 / 2  # what was believed before counts, too
    assert fallen.mean() + before == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("ripple", [1e-4, 1e-3])
def test_rounding_does_not_decide_how_well_a_parameter_is_known(ripple):
    smooth = maximize(one_sided, [0.8, 0.0], [(-3.0, 5.0), (-3.0, 5.0)])
    rough = maximize(lambda sets: one_sided(sets, ripple), list(smooth.best), [(-3.0, 5.0), (-3.0, 5.0)])
    high = rough.best + rough.sigma
    assert high == pytest.approx(smooth.best + smooth.sigma, abs=0.2)


def test_of_what_nothing_is_seen_the_search_is_the_uncertainty():
    found = maximize(lambda sets: -0.5 * ((sets[:, 0] - 1) / KNOWN) ** 2 + 0 * sets[:, 1], [0.8, 0.0])
    assert found.sigma == pytest.approx([KNOWN, 4.0], rel=0.05)


def test_what_is_flat_close_by_and_steep_a_little_further_is_not_unknown():
    def edge(sets):
        return -0.5 * (np.maximum(np.abs(sets[:, 0] - 1) - 0.04, 0.0) / 0.01) ** 2

    assert 0.03 < maximize(edge, [1.0]).sigma[0] <= 0.1
