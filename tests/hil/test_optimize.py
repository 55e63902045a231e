"""Optimizers of an experiment, against steps worked out by hand."""

import pickle
import sys

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


@pytest.mark.parametrize(
    ("kind", "torchs", "more"),
    [("adam", torch.optim.Adam, {}), ("adamw", torch.optim.AdamW, {}), ("sgd", torch.optim.SGD, {"momentum": 0.5})],
)
def test_an_optimizer_is_torchs_own_and_leaves_the_compiler_alone(kind, torchs, more, monkeypatch):
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 5)), nn.Parameter(torch.linspace(-1, 1, 5))
    settings = {"lr": 0.1, "weight_decay": 0.01} | more
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch._dynamo", None)  # from here on an import of it is an error
        made = optimizer(Optimizer(kind=kind, **settings), [ours])
        assert isinstance(made, torchs)
        for _ in range(3):
            made.zero_grad()
            (ours**2).sum().backward()
            made.step()
        made.load_state_dict(made.state_dict())
    other = torchs([theirs], fused=True, **settings)
    for _ in range(3):
        other.zero_grad()
        (theirs**2).sum().backward()
        other.step()
    assert torch.equal(ours, theirs)
    assert str(made.state_dict()) == str(other.state_dict())
    assert isinstance(pickle.loads(pickle.dumps(made)), torchs)
