"""A layer, a loss, an optimizer, a schedule, an estimator, an energy."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from firmware_specs.datasheet.section import Section
from hil import Energy
from hil.learning.estimator import Estimator
from hil.learning.updates.pulsed import PlainPulses


class Scale(Section):
    """Every input times one number that is learned."""

    kind: Literal["club-scale"]
    start: float = 1.0

    def build(self, shape):
        return Scaled(self.start)


class Scaled(nn.Module):
    """One number."""

    def __init__(self, start):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(start))

    def forward(self, x):
        return x * self.factor


def squares(scores, labels):
    """Squared distance of the scores to 1 for the right class and 0 for others."""
    return (scores - nn.functional.one_hot(labels, scores.shape[1]).to(scores)).square().sum(1).mean()


def descent(settings, groups):
    """Plain gradient descent."""
    return torch.optim.SGD(groups, settings.lr)


def halves(experiment, epoch, batch, batches):
    """Half the rate after every epoch."""
    return experiment.optimizer.lr * 0.5**epoch


@dataclass(frozen=True)
class Careful:
    """The mean of two estimates of equilibrium propagation, with a nudge and with half of it."""

    kind: Literal["club-careful"] = "club-careful"
    beta: float = 0.1

    def gradients(self, site, drive, parameters, free, loss_gradient):
        estimates = [
            Estimator(beta=beta).gradients(site, drive, parameters, free, loss_gradient)
            for beta in (self.beta, self.beta / 2)
        ]
        (a, first), (b, second) = estimates
        return (a + b) / 2, {name: (first[name] + second[name]) / 2 for name in first}


class Cautious(PlainPulses):
    """Pulses, one a step and cell at most."""

    kind: Literal["club-cautious"] = "club-cautious"
    most: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class Springs(Energy):
    """Units on springs, pulled by the drive: `E = |s|^2 / 2 + |s|^4 / 12 - s W drive`."""

    units: int

    @property
    def layers(self):
        return ((self.units,),)

    def initial(self):
        return {"weight": torch.randn(self.units, self.drive_shape[0]) / self.drive_shape[0] ** 0.5}

    def energy(self, parameters, drive, states):
        (s,) = states
        pull = drive @ parameters["weight"].T
        return (s.square() / 2 + s**4 / 12 - s * pull).sum(1)
