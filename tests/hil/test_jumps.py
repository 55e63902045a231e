"""Samples that a nudge tips to another maximum of a pooling window."""

import pytest
import torch

from emulator.network import Stop
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import Settled
from hil.learning import energy
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.gradients.baseline import Implicit
from hil.learning.jumps import without_jumps

POOLED = Topology(
    layers=(Layer(shape=(4, 8, 8), slope=0.8), Layer(shape=(4, 4, 4), slope=0.8)),
    couplings=(Conv(pre=0, post=1, pool=True),),
)


def test_one_jump_outweighs_a_batch_and_is_taken_out_of_the_contrast():
    torch.manual_seed(4)  # one window of the 64 samples lies at a tie
    block = EnergyBlock(POOLED, ReferenceBench(Stop(5000, 1e-14))).double()
    drive = torch.rand(64, 4, 8, 8, dtype=torch.float64)
    error = torch.randn(64, 4, 4, 4, dtype=torch.float64)

    def gradient(rule) -> torch.Tensor:
        block.estimator = rule
        block.zero_grad()
        (block(drive) * error).sum(1).mean().backward()
        return block.weight_0.grad.clone()

    exact = gradient(Implicit(tolerance=1e-13))
    kept, guarded = (gradient(Estimator(beta=0.01, jumps=j)) - exact for j in ("keep", "one_sided"))
    assert kept.norm() > exact.norm()
    assert guarded.norm() < 5e-3 * exact.norm()
    assert gradient(Estimator(beta=1e-4)).allclose(gradient(Estimator(beta=1e-4, jumps="one_sided")), rtol=1e-12)


def test_the_side_a_sample_jumped_to_is_replaced_by_the_phase_without_nudge_at_twice_the_weight():
    free = (torch.ones(3, 1, 1), torch.ones(3, 2))  # not at rest
    still = (torch.zeros(3, 1, 1), torch.zeros(3, 2))
    plus = (torch.tensor([0.1, 5.0, 0.1]).view(3, 1, 1), torch.zeros(3, 2))
    minus = (torch.zeros(3, 1, 1), torch.tensor([[-0.1, 0], [-0.1, 0], [-3.0, 0]]))
    currents = (torch.full((3, 1), 7.0), torch.ones(3, 1), -torch.ones(3, 1), torch.full((3, 1), 9.0))
    settled, weights = without_jumps(
        Settled(free, (plus, minus, still), (), currents), [torch.full((3,), 2.0), torch.full((3,), -2.0)]
    )
    assert [w.tolist() for w in weights] == [[2, 4, 4], [-2, -4, -4]]
    assert settled.nudged[0][0].flatten().tolist() == pytest.approx([0.1, 0, 0.1])
    assert settled.nudged[1][1].tolist() == [[pytest.approx(-0.1), 0], [pytest.approx(-0.1), 0], [0, 0]]
    assert [c.flatten().tolist() for c in settled.source_currents] == [[7, 7, 7], [1, 9, 1], [-1, -1, 9]]


def test_a_tied_window_that_changes_hands_is_contrasted_at_the_maximum_of_the_free_states():
    topology = Topology(
        layers=(Layer(shape=(1, 2, 2)), Layer(shape=(1, 1, 1))), couplings=(Conv(pre=0, post=1, pool=True),)
    )
    weight = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    weight[0, 0, 1, 1] = 1.0  # a window's currents are its states
    beta = 1e-6

    def phase(shift: float) -> tuple[torch.Tensor, torch.Tensor]:
        pair = torch.tensor([[0.5 + shift, 0.5], [0.0, 0.0]], dtype=torch.float64)
        return pair.view(1, 1, 2, 2), torch.ones(1, 1, 1, 1, dtype=torch.float64)

    phases, weights = (phase(beta), phase(-beta)), [torch.tensor([sign / (2 * beta)]).double() for sign in (1, -1)]
    parameters = {"weight_0": weight, "bias_0": torch.zeros(1, dtype=torch.float64)}
    drive = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    own = energy.contrast(topology, parameters, drive, phases, weights)[1]["weight_0"]
    common = energy.contrast(topology, parameters, drive, phases, weights, windows=phase(beta / 9))[1]["weight_0"]
    assert own[0, 0, 1, 2].item() == pytest.approx(-0.5 / (2 * beta))  # the neighbour on the right is there or is not
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[1, 1] = -1.0  # the maximum moves by beta to either side
    torch.testing.assert_close(common[0, 0], expected)


def test_every_sample_is_nudged_as_far_whatever_its_error():
    site = EnergyBlock(POOLED, ReferenceBench())
    rule = Estimator(largest=1e-3)
    error = torch.randn(5, 4, 4, 4) * torch.logspace(-9, 0, 5).view(-1, 1, 1, 1)
    nudge = error * rule.effective_beta(error, rule.aim(site)).view(-1, 1, 1, 1)
    assert nudge.flatten(1).abs().amax(1).tolist() == pytest.approx([1e-3] * 5)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"largest": 0.0}, "positive"),
        ({"jumps": "one_sided", "kind": "positive"}, "centered"),
        ({"jumps": "one_sided", "points": 4}, "2 points"),
        ({"jumps": "one_sided", "nudge": "reevaluated"}, "neither"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        Estimator(**wrong)
