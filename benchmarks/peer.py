"""The ff-EBM authors' code (rain-neuromorphics/hybrid_bp_ep_official) as a counterpart: same weights, same inputs.

It is imported from a checkout that the caller names; nothing of it is part of this project. It needs `omegaconf`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hil.experiments.schema import Experiment
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator

FILES = {
    "cifar10-6layer-1block": "splitting_small_1block",
    "cifar10-6layer-2block": "splitting_small_2block",
    "cifar10-6layer-3block": "splitting_small_3block",
    "cifar10-12layer-3block": "splitting_large_3block",
    "cifar10-12layer-4block": "splitting_large_4block",
    "cifar10-12layer-6block": "splitting_large_6block",
    "cifar100-12layer": "scaling_small",
    "cifar100-15layer": "scaling_large",
    "imagenet32-12layer": "scaling_small",
    "imagenet32-15layer": "scaling_large",
}


@dataclass
class Peer:
    """Their model with the weights of one of ours."""

    model: Any
    algorithm: Any
    sweeps: int

    @classmethod
    def like(cls, checkout: Path, name: str, ours: nn.Module, experiment: Experiment, classes: int) -> Peer:
        """Their configuration of an experiment, in the present default dtype."""
        if str(checkout) not in sys.path:
            sys.path.insert(0, str(checkout))
        from omegaconf import OmegaConf
        from src.algorithms.ep import EP
        from src.models.vgg import VGG

        config = OmegaConf.load(checkout / "hydra_conf" / "model" / f"{FILES[name]}.yaml")
        config.config.normalization.weights = {"name": "standard_kaiming", "config": {}}  # overwritten below, and fast
        model = VGG(config, torch.device("cpu"), num_classes=classes)
        *blocks, readout = ours.children()
        linear = readout.get_submodule("1")
        assert isinstance(linear, nn.Linear)
        with torch.no_grad():
            for mine, theirs in zip(blocks, model.blocks, strict=True):
                energy = mine.get_submodule("energy")
                assert isinstance(energy, EnergyBlock)
                first = mine.get_submodule("feedforward.0")
                pairs = [(first.weight, first.bias)]
                count = len(energy.topology.couplings)
                pairs += [(getattr(energy, f"weight_{i}"), getattr(energy, f"bias_{i}")) for i in range(count)]
                for (weight, bias), synapse in zip(pairs, theirs.synapses, strict=True):
                    synapse.weight.copy_(weight)
                    if bias is not None:
                        synapse.bias.copy_(bias)
                theirs.feedforward[0].weight.requires_grad_(True)
                for module in theirs.feedforward:
                    if isinstance(module, nn.BatchNorm2d):
                        module.weight.requires_grad_(False)
                        module.bias.requires_grad_(False)
            model.readout(torch.zeros(2, linear.in_features))  # gives the lazy layer its size
            model.readout[1].weight.copy_(linear.weight)
            model.readout[1].bias.copy_(linear.bias)
        settle, estimator = experiment.settle, experiment.estimator
        assert isinstance(estimator, Estimator), "the authors' rule"
        rule = EP(beta=estimator.beta, T2=settle.nudged_max_iterations)
        return cls(model, rule, settle.max_iterations)

    def settle(self, images: Tensor, tolerance: float | None = None, sweeps: int | None = None) -> list[list[Tensor]]:
        """Free states of every block after a number of sweeps, the experiment's if omitted, or by their own stop."""
        with torch.no_grad():
            for block in self.model.blocks:
                block.train()
                block.tol = tolerance
            states = self.model.initialize_neurons(images)
            for index, block in enumerate(self.model.blocks):
                states[index] = block(images, states[index], sweeps or self.sweeps)
                images = states[index][-1]
        return list(states)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Free phases, nudged phases, gradients."""
        for block in self.model.blocks:
            block.train()
            block.tol = None
        self.algorithm.run(self.model, images, labels, nn.CrossEntropyLoss(reduction="none"))

    def gradients(self) -> list[Tensor]:
        """As our parameters are ordered: of each block the feedforward weights, then the energy's; then the readout."""
        found = []
        for block in self.model.blocks:
            first, *rest = block.synapses
            found += [first.weight.grad] + ([first.bias.grad] if first.bias is not None else [])
            found += [p.grad for synapse in rest for p in (synapse.weight, synapse.bias)]
        return [*found, self.model.readout[1].weight.grad, self.model.readout[1].bias.grad]
