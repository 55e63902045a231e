"""Optimizers of an experiment, against steps worked out by hand."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from hil.experiments.schema import Optimizer
from hil.training.optimize import optimizer


def test_a_gradient_longer_than_max_norm_is_scaled_down_to_it_over_all_parameters():
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    plain = optimizer(Optimizer(kind="sgd", lr=1.0, momentum=0.0, max_norm=2.0), [first, second])
    first.grad, second.grad = torch.tensor([30.0]), torch.tensor([40.0])
    plain.step()
    assert torch.cat([first, second]).tolist() == pytest.approx([-1.2, -1.6])
    first.grad, second.grad = torch.tensor([0.3]), torch.tensor([0.4])
    plain.step()
    assert torch.cat([first, second]).tolist() == pytest.approx([-1.5, -2.0])


def test_max_norm_must_be_positive():
    with pytest.raises(ValidationError, match="max_norm"):
        Optimizer(max_norm=0.0)
