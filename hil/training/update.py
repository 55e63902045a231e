"""How the cells follow the gradient: the rule of every block at work, and refreshes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emulator.streams import generator
from hil.counterparts.cell_array import CellArray, Pulsed, added
from hil.counterparts.device_snapshot import below
from hil.counterparts.mapping import crossbar_matrix
from hil.learning.block import EnergyBlock
from hil.learning.model import energy_blocks
from hil.learning.updates.update import BlockRule, ByStates, Update


class CellUpdates:
    """Updates by pulses, and refreshes, of a model's energy blocks.

    A step moves the weights of each tensor against its gradient, scaled so that its root mean square is one step of the
    rule (normalized gradient descent: a rule sees directions, whatever the size of the loss).

    Args:
        model: With its energy blocks placed.
        settings: Of the experiment.
        seed: Of the run; random draws derive from it and the step.
    """

    def __init__(self, model: nn.Module, settings: Update, seed: int) -> None:
        self.settings = settings
        self._blocks = energy_blocks(model)
        self._seed = seed
        self._rules: dict[str, BlockRule] = {}
        self._arrays = {name: b.array for name, b in self._blocks.items() if isinstance(b.array, CellArray)}
        for name, block in self._blocks.items():
            arrays = [a for a in (block.array, *block.beside) if isinstance(a, CellArray)]
            rule = settings.begin(arrays) if block.pulsed else None
            if rule is not None:
                self._rules[name] = rule
            if isinstance(rule, ByStates):
                block.estimator = rule.handing_over(block.estimator)
        pulsed = {id(p) for block in self._blocks.values() if block.pulsed for p in block.parameters()}
        if settings.frozen:
            for block in self._blocks.values():
                block.requires_grad_(False)
            pulsed |= {id(p) for block in self._blocks.values() for p in block.parameters()}
        self.host_parameters = [p for p in model.parameters() if id(p) not in pulsed]

    def step(self, number: int, factor: float = 1.0) -> Pulsed | None:
        """After the optimizer's step.

        Args:
            number: Steps done before this one.
            factor: Of the learning rate, from the schedule.

        Returns:
            Pulses that were sent; None where no block is moved by pulses.
        """
        sent = []
        for name, array in self._arrays.items():
            if (rule := self._rules.get(name)) is not None:
                draws = generator(torch.device("cpu"), self._seed, "pulses", name, number)
                sent.append(rule.step(directions(self._blocks[name]), factor, draws))
            if self._due(number + 1, array):
                array.refresh()
        return added(sent) if sent else None

    def state_dict(self) -> dict[str, Tensor]:
        """What the rules keep beside the cells."""
        states = {name: rule.state_dict() for name, rule in self._rules.items()}
        return {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`.

        Raises:
            KeyError: it is another rule's.
        """
        for name, rule in self._rules.items():
            rule.load_state_dict(below(f"{name}/", state))

    def wear(self) -> dict[str, float]:
        """Weights that pulses move, pulses and writes a weight, and the most of one cell, arrays beside included."""
        blocks = [self._blocks[name] for name in self._rules]
        settling = [b.array.wear() for b in blocks if isinstance(b.array, CellArray)]
        if not settling:
            return {}
        worn = settling + [a.wear() for b in blocks for a in b.beside if isinstance(a, CellArray)]
        weights, pulses = sum(w.weights for w in settling), sum(w.pulses for w in worn)
        return {"weights": weights, "pulses_per_weight": round(pulses / weights, 2), "most": max(w.most for w in worn)}

    def _due(self, steps: int, array: CellArray) -> bool:
        every, most = self.settings.refresh_every, self.settings.refresh_drift
        return bool(every and steps % every == 0) or (most is not None and array.drifted() > most)


def directions(block: EnergyBlock) -> list[Tensor]:
    """Minus the gradient of every coupling as its crossbar holds it, each parameter's part of root mean square 1.

    Takes the gradients from the parameters.
    """
    parts = {}
    for name, parameter in block.named_parameters():
        if parameter.grad is None:
            parts[name] = torch.zeros_like(parameter)
            continue
        size = parameter.grad.square().mean().sqrt()
        parts[name] = parameter.grad / -size.clamp(min=torch.finfo(size.dtype).tiny)
        parameter.grad = None
    topology = block.topology
    return [crossbar_matrix(topology, c, parts, n) for n, c in enumerate(topology.couplings)]
