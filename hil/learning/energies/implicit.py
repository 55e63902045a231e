"""Implicit differentiation at a minimum of any energy: `dL/dtheta = -(H^-1 dL/ds)^T d2E/ds dtheta`."""

from __future__ import annotations

import torch
from torch import Tensor

from hil.counterparts.seam import Parameters, States
from hil.learning.energies.energy import Energy
from hil.learning.energies.flat import join, limits, split
from hil.learning.energies.minimize import conjugate_gradients, free_units


def gradients(
    energy: Energy, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States, tolerance: float
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Gradients of a loss by the drive and by every parameter.

    Args:
        energy: Of the block.
        drive: (batch, *drive_shape).
        parameters: Those that it settled with.
        free: States at the minimum.
        loss_gradients: dL/ds of every layer, (batch, *layer) each.
        tolerance: Rest of the adjoint equation, relative to its right side.

    Returns:
        By the drive, by every parameter, and which samples' adjoints were solved to the tolerance, (batch,).
    """
    source = drive.detach().requires_grad_()
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    states = join(free).detach().requires_grad_()
    low, high = limits(energy, states)
    with torch.enable_grad():
        total = energy.energy(leaves, source, split(energy, states)).sum()
        (force,) = torch.autograd.grad(total, states, create_graph=True)
        held = torch.zeros_like(low, dtype=torch.bool)
        moving = free_units(states.detach(), force.detach(), low, high, held).to(states)
        right = join(loss_gradients) * moving

        def product(vector: Tensor) -> Tensor:
            (bent,) = torch.autograd.grad(force, states, vector * moving, retain_graph=True, materialize_grads=True)
            return bent * moving

        wanted = tolerance * right.norm(dim=1)
        adjoint = conjugate_gradients(product, right, wanted, most=20 * right.shape[1])
        solved = (product(adjoint) - right).norm(dim=1) <= 10 * wanted
        found = torch.autograd.grad(force, [source, *leaves.values()], -adjoint, materialize_grads=True)
    return found[0], dict(zip(leaves, found[1:], strict=True)), solved
