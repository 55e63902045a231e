"""Transfer of neuron circuits, as a sweep that is differentiated sees it."""

import pytest
import torch

from emulator.neurons import Neurons


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, None), (None, 1.0), (0.0, 6.0)])
def test_the_derivative_on_a_rail_is_that_inside_whatever_torch_says(low, high):
    neurons = Neurons(gain=0.5, low=low, high=high)
    at = [v for v in (low, high) if v is not None]
    current = torch.tensor([2 * v for v in at] + [0.25, -9.0, 99.0], requires_grad=True)
    state = neurons(current)
    state.sum().backward()
    beyond = [0.0 if low is not None else 0.5, 0.0 if high is not None else 0.5]
    assert current.grad.tolist() == [0.5] * (len(at) + 1) + beyond
    assert torch.equal(state, neurons(current.detach()))


def test_a_state_that_is_no_number_stays_none():
    current = torch.tensor([float("nan"), 0.5], requires_grad=True)
    state = Neurons()(current)
    assert state.isnan().tolist() == [True, False]
