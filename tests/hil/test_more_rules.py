"""More of the field through the same modules: each gradient against an independent answer."""

import pytest
import torch
from torch import nn

from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import Hold
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator, stencil
from hil.learning.gradients.baseline import AdjointError, Implicit
from hil.learning.gradients.coupled import Coupled

EXACT = Stop(max_iterations=5000, tolerance=1e-14)


def dense_block(seed=0):
    torch.manual_seed(seed)
    block = EnergyBlock(dense_chain([6, 5, 4], slope=0.7), ReferenceBench(EXACT)).double()
    for parameter in block.parameters():
        parameter.data.mul_(0.7)
    return block, 0.5 + 0.05 * torch.randn(3, 6, dtype=torch.float64)  # away from the rails: smooth in beta


def gradients(block, rule, drive, target=0.3):
    block.estimator = rule
    block.zero_grad()
    drive = drive.clone().requires_grad_()
    state = block(drive)
    ((state - target) ** 2).sum(tuple(range(1, state.dim()))).mean().backward()
    return {"drive": drive.grad} | {n: p.grad.clone() for n, p in block.named_parameters()}


def difference(got, wanted):
    return max(float((got[n] - w).norm() / w.norm()) for n, w in wanted.items())


@pytest.mark.parametrize("levels", [(1.0, -1.0), (1.0, -1.0, 0.5, -0.5), (1.0, -1.0, 2 / 3, -2 / 3, 1 / 3, -1 / 3)])
def test_the_stencil_is_the_derivative_of_every_polynomial_it_can_tell(levels):
    weights = stencil(levels)
    for power in range(len(levels)):
        value = sum(w * x**power for w, x in zip(weights, levels, strict=True))
        assert value == pytest.approx(1.0 if power == 1 else 0.0, abs=1e-12)
    assert stencil((-1.0,)) == [-1.0, 1.0]


def test_errors_of_n_points_fall_with_the_nth_power_of_beta():
    block, drive = dense_block()
    exact = gradients(block, Implicit(tolerance=1e-13), drive)
    for points, orders in ((2, 2), (4, 4)):
        errors = [difference(gradients(block, Estimator(beta=b, points=points), drive), exact) for b in (0.4, 0.2)]
        assert errors[1] < 1e-9 or errors[0] / errors[1] == pytest.approx(2**orders, rel=0.3)


def followed(points, beta):
    from hil.experiments.schema import Experiment
    from hil.learning.gradients.followed import scores_and_loss
    from hil.learning.loss import task
    from hil.learning.model import build, energy_blocks

    document = {
        "data": {"name": "digits"},
        "blocks": [{"feedforward": [{"kind": "flatten"}], "energy": {"couplings": [{"kind": "dense", "units": 5}]}}],
        "slope": 0.5,
        "run": {"dtype": "float64"},
    }
    model = build(Experiment.model_validate(document), ReferenceBench(EXACT), (6,), 3)
    for parameter in model.parameters():
        parameter.data.mul_(0.5)
    for block in energy_blocks(model).values():
        block.estimator = (
            Estimator(beta=beta, points=points, nudge="reevaluated") if points else Implicit(tolerance=1e-13)
        )
    torch.manual_seed(1)
    drive = 1.0 + 0.1 * torch.randn(4, 6, dtype=torch.float64)
    model[1][1].weight.data.mul_(6)
    scores_and_loss(model, task("cross_entropy").loss, drive, torch.tensor([0, 1, 2, 1]))[1].backward()
    return {n: p.grad.clone() for n, p in model.named_parameters()}


def test_four_points_of_a_followed_nudge_are_fourth_order_in_beta_readout_included():
    exact = followed(0, 1.0)
    two = [difference(followed(2, b), exact) for b in (0.2, 0.1)]
    four = [difference(followed(4, b), exact) for b in (0.2, 0.1)]
    assert two[0] / two[1] == pytest.approx(4, rel=0.2)
    assert four[0] / four[1] == pytest.approx(16, rel=0.3)
    assert four[1] < 1e-2 * two[1]


def test_points_are_refused_where_they_mean_nothing():
    for wrong in ({"points": 3}, {"points": 0}, {"points": 4, "kind": "positive"}):
        with pytest.raises(ValueError, match="points must be 2, 4, 6 or 8"):
            Estimator(**wrong)


def test_coupled_learning_is_equilibrium_propagation_of_the_error_seen_through_the_networks_stiffness():
    block, drive = dense_block()
    coupled = gradients(block, Coupled(eta=1e-5), drive)
    # the current that holds the outputs a small step away is the stiffness times the step
    block.program()
    free = block.array.settle(drive).free
    with torch.no_grad():
        slope = 2 * (free[-1] - 0.3) / len(drive)
    step = 1e-5 * len(drive)
    held = block.array.settle(drive, [Hold(free[-1] - step * slope)], free).nudged[0]
    assert torch.equal(held[-1], free[-1] - step * slope)
    named = dict(block.named_parameters())
    arriving = held[-2] @ named["weight_1"].T + named["bias_1"]
    stiff = -(held[-1] - arriving) / step  # H dL/ds
    wanted = Implicit(tolerance=1e-13).gradients(block, drive, named, free, stiff.detach())
    expected = {"drive": wanted[0]} | wanted[1]
    assert difference(coupled, expected) < 1e-4
    plain = gradients(block, Implicit(tolerance=1e-13), drive)
    assert difference(coupled, plain) > 1e-2  # it is not the loss's own gradient


def test_coupled_learning_descends_the_loss():
    block, drive = dense_block()
    optimizer = torch.optim.SGD(block.parameters(), 0.2)
    losses = []
    for _ in range(30):
        gradients(block, Coupled(eta=0.05), drive)
        optimizer.step()
        with torch.no_grad():
            losses.append(float(((block(drive) - 0.3) ** 2).sum(1).mean()))
    assert losses[-1] < 0.01 * losses[0]


def residual_topology():
    return Topology(
        layers=(
            Layer(shape=(3, 4, 4), slope=0.6),
            Layer(shape=(3, 4, 4), slope=0.6),
            Layer(shape=(3, 4, 4), slope=0.6),
            Layer(shape=(5, 2, 2), slope=0.6, clamped=False),
        ),
        couplings=(
            Conv(pre=0, post=1),
            Conv(pre=1, post=2),
            Conv(pre=2, post=3, pool=True),
            Conv(pre=0, post=2, kernel=1, padding=0, bias=False),
        ),
    )


def test_a_residual_block_is_updated_in_groups_without_couplings_inside_and_learns_the_exact_gradient():
    topology = residual_topology()
    for group in topology.update_groups:
        assert not any(c.pre in group and c.post in group for c in topology.couplings)
    assert len(topology.update_groups) == 3
    torch.manual_seed(4)
    block = EnergyBlock(topology, ReferenceBench(EXACT)).double()
    for parameter in block.parameters():
        parameter.data.mul_(0.6)
    drive = torch.rand(3, 3, 4, 4, dtype=torch.float64)
    exact = gradients(block, Implicit(tolerance=1e-13), drive)
    assert difference(gradients(block, Estimator(beta=1e-4), drive), exact) < 1e-5
    assert float(exact["weight_3"].norm()) > 0


def test_an_over_relaxed_sweep_has_the_same_implicit_gradient_sooner():
    topology = residual_topology()
    torch.manual_seed(4)
    block = EnergyBlock(topology, ReferenceBench(EXACT, over_relaxation=1.2)).double()
    drive = torch.rand(3, 3, 4, 4, dtype=torch.float64)
    exact = gradients(block, Implicit(tolerance=1e-13), drive)
    assert difference(gradients(block, Implicit(tolerance=1e-13, over_relaxation=1.2), drive), exact) < 1e-10
    with pytest.raises(AdjointError):
        gradients(block, Implicit(tolerance=1e-6, max_iterations=12), drive)
    gradients(block, Implicit(tolerance=1e-6, max_iterations=12, over_relaxation=1.2), drive)


def test_a_residual_block_of_an_experiment_has_its_skips():
    from hil.experiments.parts import EnergyPart
    from hil.learning.model import topology_of

    part = EnergyPart.model_validate(
        {
            "couplings": [{"kind": "conv", "channels": 3}, {"kind": "conv", "channels": 3}],
            "skips": [{"pre": 0, "post": 2}],
            "slope": 0.6,
        }
    )
    topology = topology_of(part, (3, 4, 4))
    assert topology.couplings[2] == Conv(pre=0, post=2, kernel=1, padding=0, bias=False)


def test_a_deep_convolutional_hopfield_net_of_scelliers_shape_learns_the_exact_gradient():
    """128-256-512-512 with a maximum over 2x2 after each convolution, then dense (arXiv 2312.15103), narrower here."""
    shapes = [(4, 8, 8), (6, 4, 4), (8, 2, 2), (8, 1, 1)]
    topology = Topology(
        layers=(*(Layer(shape=s) for s in shapes), Layer(shape=(10,))),
        couplings=(*(Conv(pre=i, post=i + 1, pool=True) for i in range(3)), Dense(pre=3, post=4)),
    )
    torch.manual_seed(5)
    block = EnergyBlock(topology, ReferenceBench(EXACT)).double()
    for parameter in block.parameters():
        parameter.data.mul_(0.5)
    first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2)).double()
    drive = first(torch.rand(3, 3, 16, 16, dtype=torch.float64)).detach()
    exact = gradients(block, Implicit(tolerance=1e-13), drive)
    assert difference(gradients(block, Estimator(beta=1e-5), drive), exact) < 1e-3
