import pytest
import torch

from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil.counterparts.reference import ReferenceBench
from hil.learning import energy
from hil.learning.block import EnergyBlock

CONV = Topology(
    layers=(Layer(shape=(2, 7, 7)), Layer(shape=(3, 4, 4)), Layer(shape=(4, 2, 2)), Layer(shape=(5,), clamped=False)),
    couplings=(Conv(pre=0, post=1, stride=2), Conv(pre=1, post=2, pool=True, bias=False), Dense(pre=2, post=3)),
)
SKIPPING = Topology(
    layers=tuple(Layer(shape=(n,)) for n in (4, 5, 3)),
    couplings=(Dense(pre=0, post=1), Dense(pre=1, post=2, bias=False), Dense(pre=0, post=2)),
)


@pytest.mark.parametrize("topology", [CONV, SKIPPING], ids=["convolutions", "skip"])
def test_contrast_is_the_derivative_of_the_primitive_function_at_fixed_states(topology):
    torch.manual_seed(2)
    block = EnergyBlock(topology, ReferenceBench()).double()
    parameters = {name: value.detach().requires_grad_() for name, value in block.named_parameters()}
    drive = torch.randn(3, *topology.drive_shape, dtype=torch.float64, requires_grad=True)
    phases = [tuple(torch.rand(3, *layer.shape, dtype=torch.float64) for layer in topology.layers) for _ in range(2)]
    weights = [torch.randn(3, dtype=torch.float64) for _ in phases]
    total = sum(
        -(energy.primitive(topology, parameters, drive, states) * share).sum()
        for states, share in zip(phases, weights, strict=True)
    )
    wanted = torch.autograd.grad(total, [drive, *parameters.values()])
    by_drive, by_parameter = energy.contrast(topology, parameters, drive, phases, weights)
    torch.testing.assert_close(by_drive, wanted[0], rtol=0, atol=1e-12)
    for name, value in zip(parameters, wanted[1:], strict=True):
        torch.testing.assert_close(by_parameter[name], value, rtol=0, atol=1e-12)
