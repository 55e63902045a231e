import gc

import pytest
import torch

from emulator import network
from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.reference import ReferenceBench
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.gradients.baseline import Implicit, Unrolled

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")  # tested on its own


class Counting:
    """An array that notes what it is asked and answers from the reference."""

    def __init__(self, topology):
        self.inner = ReferenceBench().place(topology)
        self.topology = topology
        self.ranges = self.inner.ranges
        self.calls = []

    def program(self, parameters):
        self.calls.append("program")
        return self.inner.program(parameters)

    def settle(self, drive, nudges=(), start=None, reads=1):
        self.calls.append(f"settle free + {len(nudges)}" + ("" if start is None else " from start"))
        return self.inner.settle(drive, nudges, start, reads)


class CountingBench(ReferenceBench):
    def place(self, topology):
        return Counting(topology)


def test_a_step_programs_once_settles_freely_once_and_nudges_in_one_transaction():
    block = EnergyBlock(dense_chain([4, 3]), CountingBench())
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):
        block(torch.rand(2, 4)).sum().backward()
        optimizer.step()
    assert block.array.calls == ["program", "settle free + 0", "settle free + 2 from start"] * 2


def test_an_unchanged_block_is_not_programmed_again():
    block = EnergyBlock(dense_chain([4, 3]), CountingBench())
    with torch.no_grad():
        block(torch.rand(2, 4))
        block(torch.rand(2, 4))
    assert block.array.calls.count("program") == 1


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_a_step_of_a_fused_optimizer_is_programmed_too(kind):
    block = EnergyBlock(dense_chain([4, 3]), ReferenceBench())
    optimizer = kind(block.parameters(), lr=0.1, fused=True)
    drive = torch.rand(2, 4)
    before = block(drive)
    before.sum().backward()
    optimizer.step()
    fresh = EnergyBlock(dense_chain([4, 3]), ReferenceBench())
    fresh.load_state_dict(block.state_dict())
    after = block(drive)
    assert torch.equal(after, fresh(drive)) and not torch.equal(after, before)


def test_a_drive_may_be_flat_or_shaped_like_the_first_layer():
    topology = Topology(
        layers=(Layer(shape=(2, 4, 4)), Layer(shape=(3, 4, 4), clamped=False)), couplings=(Conv(pre=0, post=1),)
    )
    block = EnergyBlock(topology, ReferenceBench())
    drive = torch.rand(5, 2, 4, 4)
    assert torch.equal(block(drive), block(drive.flatten(1)))
    assert block(drive).shape == (5, 3, 4, 4)


def test_a_block_without_couplings_is_a_layer_of_neurons():
    block = EnergyBlock(dense_chain([4], clamp_last=True, slope=0.5), ReferenceBench())
    drive = torch.tensor([[-1.0, 0.5, 1.0, 9.0]], requires_grad=True)
    block(drive).sum().backward()
    assert torch.allclose(block(drive), torch.tensor([[0.0, 0.25, 0.5, 1.0]]))
    assert torch.allclose(drive.grad, torch.tensor([[0.0, 0.5, 0.5, 0.0]]), atol=1e-5)


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit?seed=3"])
def test_a_resumed_block_continues_bit_exactly_and_writes_no_cell_twice(address):
    def fresh():
        torch.manual_seed(1)
        bench = open_bench(address)
        return bench, EnergyBlock(dense_chain([6, 4]), bench)

    def step(block):
        block.zero_grad()
        out = block(torch.linspace(0, 1, 12).view(2, 6))
        out.square().sum().backward()
        return out.detach(), [p.grad for p in block.parameters()]

    bench, block = fresh()
    step(block)
    saved = {k: v.clone() for k, v in bench.state_dict().items()}, {k: v.clone() for k, v in block.state_dict().items()}
    wanted = step(block)
    again, resumed = fresh()
    resumed.load_state_dict(saved[1])
    again.load_state_dict(saved[0])
    got = step(resumed)
    assert torch.equal(got[0], wanted[0])
    assert all(torch.equal(a, b) for a, b in zip(got[1], wanted[1], strict=True))


def test_a_drive_of_the_wrong_size_or_with_nan_is_refused_by_name():
    bench = ReferenceBench()
    block = EnergyBlock(dense_chain([4, 3]), bench)
    with pytest.raises(ValueError, match="drive: 1 values are not finite"):
        block(torch.tensor([[0.0, 1.0, float("nan"), 0.0]]))
    for wrong in ((2, 5), (4, 2), (4,), (2, 2, 2)):
        with pytest.raises(ValueError, match=r"drive: shape .*, expected \(batch, \*\(4,\)\)"):
            block(torch.rand(wrong))


def test_an_exploding_loss_reaches_no_nudge_converter():
    block = EnergyBlock(dense_chain([4, 3]), open_bench("emulator:mixed-8bit"))
    out = block(torch.rand(2, 4))
    with pytest.raises(ValueError, match=r"nudge 0: .* not finite"):
        (out.sum() * float("inf")).backward()


def test_a_vanishing_error_is_scaled_up_without_overflow():
    loud = Estimator(auto_range=True)
    tiny = torch.tensor([[1e-30], [1e-37], [1e-45], [0.0]])
    for aim in (0.01, 1000.0):
        factor = loud.effective_beta(tiny, aim)
        assert bool(torch.isfinite(factor).all())
        assert bool((tiny[:, 0] * factor <= aim * (1 + 1e-6)).all())
        assert factor[0] > 0
        assert factor[2:].tolist() == [0, 0]


def test_the_same_gradient_in_any_memory_layout():
    topology = Topology(
        layers=(Layer(shape=(2, 4, 4)), Layer(shape=(3, 2, 2), clamped=False)),
        couplings=(Conv(pre=0, post=1, pool=True),),
    )
    torch.manual_seed(0)
    block = EnergyBlock(topology, ReferenceBench())
    weight, found = torch.randn(5, 3, 2, 2), []
    drive = torch.rand(5, 2, 4, 4)
    strided = torch.rand(5, 2, 4, 8)[..., ::2].copy_(drive)
    for same in (drive, drive.to(memory_format=torch.channels_last), strided):
        for scale in (weight, weight.to(memory_format=torch.channels_last)):
            block.zero_grad()
            leaf = same.detach().requires_grad_()
            (block(leaf) * scale).sum().backward()
            found.append([leaf.grad, *(p.grad.clone() for p in block.parameters())])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_nudges_of_functions_and_maps_lie_as_states_do():
    layers = (Layer(shape=(2, 4, 4)), Layer(shape=(3, 2, 2), clamped=False))
    topology = Topology(layers=layers, couplings=(Conv(pre=0, post=1, pool=True),))
    array = ReferenceBench(Stop(20, 1e-6)).place(topology)
    array.program({"weight_0": torch.rand(3, 2, 3, 3), "bias_0": torch.zeros(3)})
    maps, lie, relax = torch.rand(5, 3, 2, 2), [], network.relax

    def seen(net, drive, nudge, start, *rest, **more):
        states = torch.cat([start[-1]] * 2).contiguous(memory_format=torch.channels_last)
        lie.append(nudge(states).is_contiguous(memory_format=torch.channels_last))
        return relax(net, drive, nudge, start, *rest, **more)

    free = array.settle(torch.rand(5, 2, 4, 4)).free
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "relax", seen)
        array.settle(torch.rand(5, 2, 4, 4), [maps, lambda state: 1 - state], start=free)
    assert lie == [True]


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit"])
def test_memory_does_not_grow_over_steps(address):
    block = EnergyBlock(dense_chain([6, 4]), open_bench(address))
    optimizer = torch.optim.Adam(block.parameters())

    def tensors_after(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            block(torch.rand(3, 6)).square().sum().backward()
            optimizer.step()
        gc.collect()
        return sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects())

    before, steps = tensors_after(3), 40
    assert tensors_after(steps) < before + steps / 2  # one tensor a step that stays would be twice the bound


@pytest.mark.parametrize(
    "rule", [Estimator(largest=1e-3), Implicit(max_iterations=20, unsolved="keep"), Unrolled(sweeps=5)]
)
@pytest.mark.parametrize("unsettled", ["count", "leave_out"])
def test_a_sample_that_did_not_settle_sends_no_gradient_where_it_is_to_be_left_out(rule, unsettled):
    torch.manual_seed(0)
    # at rest from the start without a drive; the other sample would need more than two sweeps
    block = EnergyBlock(dense_chain([6, 5, 4]), ReferenceBench(Stop(2, 1e-6), Stop(20, 0.0)), rule, unsettled=unsettled)
    block.double()
    with torch.no_grad():
        block.bias_0.zero_()
        block.bias_1.zero_()
    seen = []
    block.observer = seen.append
    drive = torch.stack([torch.zeros(6), torch.rand(6)]).double().requires_grad_()
    scale = torch.rand(2, 4, dtype=torch.float64)
    (block(drive) * scale).sum().backward()
    assert seen[0].phases[0].settled.tolist() == [True, False]
    both = {name: p.grad.clone() for name, p in block.named_parameters()}
    block.zero_grad()
    lone = drive.detach()[:1].clone().requires_grad_()
    (block(lone) * scale[:1]).sum().backward()
    assert bool(drive.grad[0].any())
    if unsettled == "leave_out":
        assert not drive.grad[1].any()
        for name, parameter in block.named_parameters():
            torch.testing.assert_close(both[name], parameter.grad, rtol=1e-3, atol=1e-6)
    else:
        assert bool(drive.grad[1].any())
        assert any(not torch.allclose(both[n], p.grad, rtol=1e-3, atol=1e-6) for n, p in block.named_parameters())
