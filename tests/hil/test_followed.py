import pytest
import torch

from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.datasheet import load
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.reference import ReferenceBench
from hil.experiments.schema import Experiment
from hil.learning.estimator import Estimator
from hil.learning.gradients.baseline import Implicit
from hil.learning.gradients.followed import scores_and_loss
from hil.learning.loss import task
from hil.learning.model import build, energy_blocks, set_rule

EXACT = Stop(max_iterations=5000, tolerance=1e-14)
EXPERIMENT = {
    "data": {"name": "digits"},
    "blocks": [
        {
            "feedforward": [{"kind": "conv", "channels": 3}, {"kind": "max_pool"}, {"kind": "batch_norm"}],
            "energy": {"couplings": [{"kind": "conv", "channels": 4}], "clamp_last": True},
        },
        {
            "feedforward": [{"kind": "conv", "channels": 4}],
            "energy": {"couplings": [{"kind": "conv", "channels": 4, "pool": True}, {"kind": "dense", "units": 6}]},
        },
    ],
    "run": {"dtype": "float64"},
}  # fmt: skip


def model_with(bench, readout="linear", **changes):
    document = EXPERIMENT | {"readout": readout}
    model = build(Experiment.model_validate(document), bench, (1, 8, 8), 4 if readout == "linear" else 6)
    for block in energy_blocks(model).values():
        for parameter in block.parameters():
            parameter.data.mul_(0.6)
    set_rule(model, Estimator(**changes))
    return model


def batch(classes=4):
    torch.manual_seed(3)
    return torch.rand(5, 1, 8, 8, dtype=torch.float64), torch.arange(5) % classes


def gradients(model, loss):
    model.zero_grad()
    scores, mean = scores_and_loss(model, task(loss).loss, *batch())
    mean.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}, scores, mean


def relative(got, wanted):
    return max(float((got[n] - w).norm() / (w.norm() + 1e-12)) for n, w in wanted.items())


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("readout", ["linear", "none"])
def test_reevaluated_nudges_give_the_exact_gradient_as_beta_vanishes(loss, readout):
    model = model_with(ReferenceBench(EXACT), readout, beta=1e-3, nudge="reevaluated")
    ep, scores, mean = gradients(model, loss)
    for block in energy_blocks(model).values():
        block.estimator = Implicit(tolerance=1e-12)
    exact, wanted_scores, wanted_mean = gradients(model, loss)
    torch.testing.assert_close(scores, wanted_scores, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean, wanted_mean, rtol=0, atol=1e-12)
    assert relative(ep, exact) < 1e-4


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_one_sided_reevaluated_nudges_are_first_order_in_beta(kind):
    errors = []
    for beta in (0.02, 0.01):
        model = model_with(ReferenceBench(EXACT), kind=kind, beta=beta, nudge="reevaluated")
        ep, *_ = gradients(model, "cross_entropy")
        for block in energy_blocks(model).values():
            block.estimator = Implicit(tolerance=1e-12)
        exact, *_ = gradients(model, "cross_entropy")
        errors.append(relative(ep, exact))
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.1)


def test_large_beta_tells_a_reevaluated_nudge_from_a_constant_one():
    bench = ReferenceBench(EXACT)
    model = model_with(bench, beta=2.0, nudge="reevaluated")
    followed, *_ = gradients(model, "cross_entropy")
    for block in energy_blocks(model).values():
        block.estimator = Estimator(beta=2.0)
    constant, *_ = gradients(model, "cross_entropy")
    assert relative(followed, constant) > 1e-2


def test_a_chip_refuses_a_nudge_that_follows_its_state():
    model = model_with(EmulatorBench(Chip(load("ideal"), dtype=torch.float64), "emulator:ideal"), nudge="reevaluated")
    _, mean = scores_and_loss(model, task("cross_entropy").loss, *batch())
    with pytest.raises(ValueError, match="reference"):
        mean.backward()


def test_a_nudge_that_follows_the_loss_leaves_out_samples_that_did_not_settle():
    bench = ReferenceBench(Stop(3, 1e-9), Stop(30, 0.0))
    model = model_with(bench, beta=0.1, nudge="reevaluated")
    for block in energy_blocks(model).values():
        block.unsettled = "leave_out"
    left_out, *_ = gradients(model, "cross_entropy")
    energies = {name: g for name, g in left_out.items() if ".energy." in name}
    assert energies
    assert not any(bool(g.any()) for g in energies.values())
