"""Three independent answers for one gradient: equilibrium propagation, implicit differentiation, finite differences."""

import pytest
import torch
from torch import nn

from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.reference import ReferenceBench
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.gradients.baseline import AdjointError, Implicit, Unrolled

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")  # tested on its own

EXACT = Stop(max_iterations=5000, tolerance=1e-14)


def bench() -> ReferenceBench:
    return ReferenceBench(EXACT)


def dense_model() -> nn.Module:
    """Three blocks; slopes other than one, clamped and linear last layers, with and without bias lines."""
    open_bench = bench()
    return nn.Sequential(
        nn.Linear(7, 6),
        EnergyBlock(dense_chain([6, 5, 4], slope=0.7, clamp_last=True), open_bench),
        nn.Linear(4, 8),
        EnergyBlock(dense_chain([8, 5], slope=0.6, bias=False), open_bench),
        nn.Linear(5, 6),
        EnergyBlock(dense_chain([6, 6, 3], slope=0.8), open_bench),
        nn.Linear(3, 3),
    )


def conv_topology(channels: list[int], size: int, pools: list[bool], clamp_last: bool) -> Topology:
    layers, couplings = [Layer(shape=(channels[0], size, size), slope=0.8)], []
    for index, (count, pool) in enumerate(zip(channels[1:], pools, strict=True)):
        size = size // 2 if pool else size
        clamped = clamp_last or index < len(pools) - 1
        layers.append(Layer(shape=(count, size, size), slope=0.8, clamped=clamped))
        couplings.append(Conv(pre=index, post=index + 1, pool=pool))
    return Topology(layers=tuple(layers), couplings=tuple(couplings))


def conv_model() -> nn.Module:
    """Three blocks: pooling inside the energy into clamped and into linear layers, host convolutions and batch norm."""
    open_bench = bench()
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        EnergyBlock(conv_topology([3, 4, 4], 8, [True, False], clamp_last=True), open_bench),
        nn.Conv2d(4, 4, 3, padding=1),
        EnergyBlock(conv_topology([4, 5], 4, [True], clamp_last=False), open_bench),
        nn.Conv2d(5, 4, 3, padding=1),
        EnergyBlock(conv_topology([4, 3], 2, [False], clamp_last=False), open_bench),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


def prepared(build, seed: int = 0):
    torch.manual_seed(seed)
    model = build().double()
    # energy weights small enough for one equilibrium, host weights large enough to drive units to both rails
    for module in model:
        for parameter in module.parameters():
            parameter.data.mul_(0.8 if isinstance(module, EnergyBlock) else 4.0)
    shape = (5, 7) if build is dense_model else (5, 1, 8, 8)
    return model, torch.rand(shape, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])


def gradients(model: nn.Module, rule, images, labels) -> dict[str, torch.Tensor]:
    for block in (m for m in model if isinstance(m, EnergyBlock)):
        block.estimator = rule
    model.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def worst(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    return max(float((got[n] - wanted[n]).norm() / wanted[n].norm()) for n in wanted)


MODELS = pytest.mark.parametrize("build", [dense_model, conv_model])


@MODELS
def test_implicit_gradient_equals_finite_differences_along_random_directions(build):
    model, images, labels = prepared(build)
    exact = gradients(model, Implicit(tolerance=1e-13), images, labels)
    step = 1e-6
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(direction, alpha=sign * step)
                losses.append(float(nn.functional.cross_entropy(model(images), labels)))
                parameter.sub_(direction, alpha=sign * step)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(float((exact[name] * direction).sum()), rel=1e-5, abs=1e-9), name


@MODELS
def test_unrolled_gradient_converges_to_the_implicit_one(build):
    model, images, labels = prepared(build)
    exact = gradients(model, Implicit(tolerance=1e-13), images, labels)
    errors = [worst(gradients(model, Unrolled(sweeps=sweeps), images, labels), exact) for sweeps in (1, 4, 200)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-9


@MODELS
def test_centered_gradient_equals_the_implicit_one_for_every_parameter_through_three_blocks(build):
    model, images, labels = prepared(build)
    exact = gradients(model, Implicit(tolerance=1e-13), images, labels)
    assert worst(gradients(model, Estimator(beta=1e-3), images, labels), exact) < 1e-4


@MODELS
def test_centered_error_vanishes_where_neurons_are_piecewise_linear_and_one_sided_error_is_of_first_order(build):
    model, images, labels = prepared(build)
    exact = gradients(model, Implicit(tolerance=1e-13), images, labels)
    assert worst(gradients(model, Estimator("centered", 4e-3), images, labels), exact) < 1e-7
    for kind in ("positive", "negative"):
        coarse, fine = (worst(gradients(model, Estimator(kind, b), images, labels), exact) for b in (4e-3, 1e-3))
        assert coarse / fine == pytest.approx(4, rel=0.3)


@MODELS
def test_the_models_compared_have_units_at_both_rails_and_between(build):
    model, images, _ = prepared(build)
    states = []
    for block in (m for m in model if isinstance(m, EnergyBlock)):
        block.observer = lambda settled, clamped=[x.clamped for x in block.topology.layers]: states.extend(
            s.flatten() for s, c in zip(settled.free, clamped, strict=True) if c
        )
    model(images)
    inside = torch.cat(states)
    assert min(((inside == 0).sum(), (inside == 1).sum(), ((inside > 0) & (inside < 1)).sum())) > 5


def test_positive_and_negative_estimators_average_to_the_centered_one():
    model, images, labels = prepared(dense_model)
    both = [gradients(model, Estimator(kind, 1e-3), images, labels) for kind in ("positive", "negative")]
    mean = {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}
    exact = gradients(model, Implicit(tolerance=1e-13), images, labels)
    assert worst(mean, exact) < worst(both[0], exact) / 10


def test_random_sign_draws_both_sides_from_its_own_generator():
    generator = torch.Generator().manual_seed(3)
    drawn = [Estimator("random_sign").levels(generator) for _ in range(50)]
    assert set(drawn) == {(1.0,), (-1.0,)}
    generator.manual_seed(3)
    assert [Estimator("random_sign").levels(generator) for _ in range(50)] == drawn


def test_beta_means_the_same_at_every_batch_size():
    model, images, labels = prepared(dense_model)
    small = gradients(model, Estimator("positive", 0.05), images, labels)
    large = gradients(model, Estimator("positive", 0.05), images.repeat(4, 1), labels.repeat(4))
    assert worst(large, small) < 1e-9


def test_a_batch_without_error_has_no_gradient_and_a_sample_without_error_adds_none():
    model, images, _ = prepared(dense_model)
    for block in (m for m in model if isinstance(m, EnergyBlock)):
        block.estimator = Estimator(beta=1e-3)
    model.zero_grad()
    (model(images) * 0).sum().backward()
    assert all(not p.grad.any() for p in model.parameters())
    (model(images)[:1]).square().sum().backward()
    alone = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model(images[:1]).square().sum().backward()
    # beta counts the batch the nudge came from, so the two agree to first order in beta only
    assert all(torch.allclose(p.grad, alone[name], rtol=1e-3, atol=1e-6) for name, p in model.named_parameters())


def test_gradient_by_the_input_passes_through_all_blocks():
    model, images, labels = prepared(conv_model)
    by_input = []
    for rule in (Implicit(tolerance=1e-13), Estimator(beta=1e-3)):
        leaf = images.clone().requires_grad_()
        gradients(model, rule, leaf, labels)
        by_input.append(leaf.grad)
    assert float((by_input[0] - by_input[1]).norm() / by_input[0].norm()) < 1e-4


def test_gradients_accumulate_over_batches_and_ignore_frozen_parameters():
    model, images, labels = prepared(dense_model)
    block = model[1]
    block.weight_0.requires_grad_(False)
    for half in (images, images):
        nn.functional.cross_entropy(model(half), labels).backward()
    assert block.weight_0.grad is None
    once = block.weight_1.grad / 2
    model.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    assert torch.allclose(once, block.weight_1.grad)


def test_changing_a_parameter_between_forward_and_backward_is_an_error():
    model, images, labels = prepared(dense_model)
    loss = nn.functional.cross_entropy(model(images), labels)
    with torch.no_grad():
        model[1].weight_0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_an_unsolved_adjoint_is_an_error_that_says_of_how_many_samples_and_what_to_do():
    model, images, labels = prepared(dense_model)
    with pytest.raises(AdjointError, match=r"of 5 of 5 samples is not solved after 2 iterations: .*unrolled"):
        gradients(model, Implicit(tolerance=1e-13, max_iterations=2), images, labels)


def test_an_adjoint_that_grows_without_bound_is_an_error_and_never_taken_as_solved():
    block = EnergyBlock(
        dense_chain([2, 2], bias=False), ReferenceBench(Stop(max_iterations=1, tolerance=0)), Implicit()
    )
    block.weight_0.data = 3 * torch.eye(2)  # a gain of 9 around the loop: between the rails nothing is stable
    with pytest.raises(AdjointError, match=r"after \d{2} iterations: .*unsettled or barely stable"):
        block(torch.full((3, 2), 0.1)).sum().backward()


@pytest.mark.parametrize("wrong", [{"beta": 0.0}, {"beta": -1.0}, {"beta": float("nan")}, {"range_fraction": 1.5}])
def test_estimator_refuses_settings_without_meaning(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Estimator(**wrong)
