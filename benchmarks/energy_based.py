"""Networks of rain-neuromorphics/energy-based-learning, trained beside ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import Tensor


def importable(checkout: Path) -> None:
    """Their modules, which have no package."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))


class Trained:
    """A network as their scripts train it: centered, sweeps layer by layer, SGD.

    Args:
        energy: Theirs, on the CPU.
        minimizer: Their class of minimizers for it.
        sweeps: Of every phase.
        nudging: Their nudge.
        rate: Of every parameter.
    """

    def __init__(self, energy: Any, minimizer: Any, sweeps: int, nudging: float, rate: float) -> None:
        from model.function.cost import SquaredError
        from model.function.network import Network
        from training.monitor import Optimizer
        from training.sgd import AugmentedFunction, EquilibriumProp

        energy.set_device("cpu")
        self.energy, self.network = energy, Network(energy)
        self.cost = SquaredError(energy.layers()[-1])
        free = self.network.free_layers()
        augmented = AugmentedFunction(energy, self.cost)
        nudged = minimizer(augmented, free)
        self.estimator = EquilibriumProp(energy.params(), energy.layers(), augmented, self.cost, nudged)
        self.estimator.nudging, self.estimator.variant = nudging, "centered"
        self.inference = minimizer(energy, free)
        for one in (nudged, self.inference):
            one.num_iterations, one.mode = sweeps, "asynchronous"
        self.optimizer = Optimizer(energy, self.cost, [rate] * 4)

    def outputs(self, images: Tensor) -> Tensor:
        """Output states of the free phase from rest."""
        self.network.set_input(images, reset=True)
        self.inference.compute_equilibrium()
        return self.energy.layers()[-1].state.clone()

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One step as their `Trainer` does it, without its statistics."""
        self.network.set_input(images, reset=False)
        self.inference.compute_equilibrium()
        self.cost.set_target(labels)
        for parameter, gradient in zip(self.energy.params(), self.estimator.compute_gradient(), strict=True):
            parameter.state.grad = gradient
        self.optimizer.step()
        for parameter in self.energy.params():
            parameter.clamp_()
