"""How the cells follow the gradient: rewritten from the optimizer's parameters, or moved by pulses alone; refreshes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emulator.streams import generator
from hil.counterparts.seam import CellArray
from hil.experiments.schema import Update
from hil.learning.model import energy_blocks


class CellUpdates:
    """Pulsed updates and refreshes of a model's energy blocks.

    A pulsed step moves the weights of each tensor against its gradient, scaled so that the root mean square change is
    `lr` (normalized gradient descent: no state a weight, since the host keeps none).

    Args:
        model: With its energy blocks placed.
        settings: Of the experiment.
        seed: Of the run; rounding draws derive from it and the step.
    """

    def __init__(self, model: nn.Module, settings: Update, seed: int) -> None:
        self.settings = settings
        self._blocks = energy_blocks(model)
        self._seed = seed
        pulsed = {id(p) for block in self._blocks.values() if block.pulsed for p in block.parameters()}
        self.host_parameters = [p for p in model.parameters() if id(p) not in pulsed]

    def step(self, number: int, factor: float = 1.0) -> None:
        """After the optimizer's step.

        Args:
            number: Steps done before this one.
            factor: Of the learning rate, from the schedule.
        """
        for name, block in self._blocks.items():
            array = block.array
            if not isinstance(array, CellArray):
                continue
            if block.pulsed:
                source = generator(torch.device("cpu"), self._seed, "pulses", name, number)
                changes = {n: self._change(p, factor) for n, p in block.named_parameters()}
                array.pulse(changes, self.settings.most, source)
            if self._due(number + 1, array):
                array.refresh()

    def _change(self, parameter: nn.Parameter, factor: float) -> Tensor:
        if parameter.grad is None:
            return torch.zeros_like(parameter)
        size = parameter.grad.square().mean().sqrt()
        change = parameter.grad * (-self.settings.lr * factor / size.clamp(min=torch.finfo(size.dtype).tiny))
        parameter.grad = None
        return change

    def _due(self, steps: int, array: CellArray) -> bool:
        every, most = self.settings.refresh_every, self.settings.refresh_drift
        return bool(every and steps % every == 0) or (most is not None and array.drifted() > most)
