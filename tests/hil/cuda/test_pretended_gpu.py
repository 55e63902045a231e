"""The pretended GPU refuses what a real one refuses."""

import numpy as np
import pytest
import torch
from torch import nn


def test_tensors_of_both_devices_do_not_mix(gpu):
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    assert there.device == torch.device("cuda:0") and there.is_cuda
    for mixed in (
        lambda: there + here,
        lambda: here.add_(there),
        lambda: torch.cat([there, here]),
        lambda: torch.stack([there.sum(), here.sum()]),
        lambda: torch.addcmul(there, there, torch.tensor(2.0)),
        lambda: nn.functional.linear(there, torch.ones(2, 3)),
        lambda: here[there > 0],
        lambda: torch.where(here > 0, there, there),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()


def test_numbers_indices_and_copies_may_cross(gpu):
    there = torch.ones(3, device="cuda")
    assert (there * torch.tensor(2.0)).sum().item() == 6
    assert there[torch.tensor([0, 2])].shape == (2,)
    there.copy_(torch.arange(3.0))
    assert there.cpu().numpy().tolist() == [0, 1, 2]
    assert there.to(torch.ones(1, dtype=torch.float64)).dtype == torch.float64


def test_neither_numpy_nor_a_generator_of_the_host_is_taken(gpu):
    there = torch.ones(3, device="cuda")
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(there)
    for mixed in (
        lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
        lambda: there.uniform_(generator=torch.Generator()),
        lambda: torch.randn(3, generator=torch.Generator("cuda")),
    ):
        with pytest.raises(RuntimeError, match="generator"):
            mixed()
    assert torch.randn(3, device="cuda", generator=torch.Generator("cuda").manual_seed(1)).is_cuda


def test_waits_are_counted(gpu):
    there = torch.ones(3, device="cuda")
    computed = (there * 2).sum()
    assert gpu.waits == 0
    float(computed)
    bool((there > 0).all())
    there.tolist()
    there.cpu()
    there[there > 0]
    assert gpu.waits == 5


def test_gradients_and_modules_live_there(gpu):
    layer = nn.Conv2d(2, 3, 3).to("cuda")
    assert all(p.is_cuda for p in layer.parameters())
    layer(torch.ones(1, 2, 5, 5, device="cuda")).square().sum().backward()
    assert layer.weight.grad.is_cuda
    adam = torch.optim.Adam(layer.parameters(), 0.1, fused=True)
    before = layer.weight.cpu().clone()
    adam.step()
    assert not torch.equal(before, layer.weight.cpu())
