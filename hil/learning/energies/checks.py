"""An energy of somebody's own, looked at before a block is made of it: what it says of itself, and one evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from firmware_specs.given import is_real, is_whole
from hil.learning.energies.energy import Energy


class EnergyError(ValueError):
    """An energy that no block can be made of; the message names it and what it should give."""


def check_energy(energy: Energy, initial: object) -> None:
    """Refuses what a minimizer would stumble over.

    Args:
        energy: What is looked at.
        initial: What its `initial()` gave.

    Raises:
        EnergyError: in a sentence.
    """
    _shape(energy, "drive_shape", energy.drive_shape, " (what drives one sample; a block in Python names it)")
    layers = energy.layers
    if not isinstance(layers, tuple | list) or not layers:
        raise EnergyError(f"{energy.name}.layers: {layers!r:.80}, expected a shape a layer, e.g. ((32,), (10,))")
    for layer in layers:
        _shape(energy, "layers", layer, "")
    rails = energy.rails()
    if len(rails) != len(layers) or not all(_is_range(rail) for rail in rails):
        raise EnergyError(
            f"{energy.name}.rails: {rails!r:.80}, expected the lowest and highest state of each of {len(layers)} layers"
        )
    parameters = _parameters(energy, initial)
    for name in parameters:
        bounds = energy.bounds(name)
        if not _is_range(bounds):
            raise EnergyError(f"{energy.name}.bounds({name!r}): {bounds!r:.80}, expected a lowest and a highest value")
    _evaluate(energy, parameters)


def _shape(energy: Energy, name: str, shape: object, more: str) -> None:
    if not isinstance(shape, tuple | list) or not shape or not all(is_whole(size, 1) for size in shape):
        raise EnergyError(f"{energy.name}.{name}: {shape!r:.80}, expected sizes of at least 1, e.g. (32,){more}")


def _is_range(given: object) -> bool:
    both = isinstance(given, tuple | list) and len(given) == 2 and all(is_real(end) for end in given)
    return both and given[0] <= given[1]  # type: ignore[index]


def _parameters(energy: Energy, initial: object) -> dict[str, Tensor]:
    if not isinstance(initial, Mapping):
        raise EnergyError(f"{energy.name}.initial: {type(initial).__name__}, expected parameters by name")
    for name, value in initial.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise EnergyError(f"{energy.name}.initial: {name!r:.80} is no name of a parameter")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
            raise EnergyError(f"{energy.name}.initial: {name} is {kind}, expected a tensor of floating point numbers")
    return dict(initial)


def _evaluate(energy: Energy, parameters: dict[str, Tensor]) -> None:
    """The energy of two samples where a settle starts: one number each, differentiable, not NaN."""
    like = next(iter(parameters.values()), torch.zeros(()))
    drive, states = like.new_zeros(2, *energy.drive_shape), []
    for shape, (low, high) in zip(energy.layers, energy.rails(), strict=True):
        states.append(like.new_zeros(2, *shape).clamp(low, high).requires_grad_())
    with torch.enable_grad():
        value = energy.energy(parameters, drive, tuple(states))
    asked = "expected a tensor with one number a sample, (batch,)"
    if not isinstance(value, Tensor):
        raise EnergyError(f"{energy.name}.energy: {type(value).__name__}, {asked}")
    if value.shape != (2,):
        raise EnergyError(f"{energy.name}.energy: shape {tuple(value.shape)} of two samples, {asked}")
    if not value.requires_grad:
        raise EnergyError(
            f"{energy.name}.energy: does not depend on the states as autograd sees it; compute it of `states` with "
            "torch operations, without detach() or numpy()"
        )
    if bool(value.isnan().any()):
        raise EnergyError(f"{energy.name}.energy: is NaN at states of 0 (within the rails), where a settle starts")
