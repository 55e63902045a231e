"""Minimum of any smooth energy within rails, per sample: projected Newton steps.

The states of a sample are one vector. Units at a rail that the gradient presses against it are held (active set); on
the others `H d = -g` is solved: small samples by the eigenvectors of H, negative curvatures taken as positive
(saddle-free Newton, Dauphin et al. 2014, arXiv 1406.2572), large ones by conjugate gradients with Hessian-vector
products, stopped at negative curvature (Steihaug, SIAM J. Numer. Anal. 20, 1983). A step is halved until the energy
falls (Armijo along the projected path; Bertsekas, SIAM J. Control Optim. 20, 1982). Close to a minimum that is
quadratic. Every scalar of the method is one per sample, so that a batch gives what its samples give alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
"""States (batch, n) to energies (batch,)."""

ARMIJO = 1e-4
HALVINGS = 30
DENSE = 128
"""Units up to which a Hessian is built: all its columns in one call cost less than a few dozen products."""


@dataclass(frozen=True)
class Minimum:
    """Where a minimization ended.

    Attributes:
        states: (batch, n).
        settled: The last step moved no state by more than the tolerance, (batch,).
        iterations: Newton steps, (batch,).
        residual: Largest state change of the last step, (batch,).
    """

    states: Tensor
    settled: Tensor
    iterations: Tensor
    residual: Tensor


def minimize(
    energy: Function, start: Tensor, low: Tensor, high: Tensor, held: Tensor, *, tolerance: float, most: int
) -> Minimum:
    """Goes downhill from a start.

    Args:
        energy: Twice differentiable.
        start: (batch, n).
        low: Lowest states, (n,).
        high: Highest states, (n,).
        held: Units that keep their state, (n,) bool.
        tolerance: Largest state change of a step at which a sample has come to rest; 0 takes all steps.
        most: Bound on the steps.
    """
    states = torch.minimum(torch.maximum(start, low), high)
    resting = torch.zeros(len(states), dtype=torch.bool, device=states.device)
    iterations = torch.zeros(len(states), dtype=torch.int64, device=states.device)
    residual = torch.full_like(states[:, 0], float("inf"))
    for _ in range(most):
        moved = _step(energy, states, low, high, held)
        moved = torch.where(resting[:, None], states, moved)
        change = (moved - states).abs().amax(1)
        residual = torch.where(resting, residual, change)
        iterations += ~resting
        states = moved
        resting = resting | (change <= tolerance) if tolerance > 0 else resting
        if bool(resting.all()):
            break
    return Minimum(states, residual <= tolerance, iterations, residual)


def free_units(states: Tensor, gradient: Tensor, low: Tensor, high: Tensor, held: Tensor) -> Tensor:
    """Units that can move, (batch, n): neither held nor pressed against a rail."""
    return ~(held | ((states <= low) & (gradient > 0)) | ((states >= high) & (gradient < 0)))


def _step(energy: Function, states: Tensor, low: Tensor, high: Tensor, held: Tensor) -> Tensor:
    leaf = states.detach().requires_grad_()
    with torch.enable_grad():
        before = energy(leaf)
        (gradient,) = torch.autograd.grad(before.sum(), leaf, create_graph=True)
    before, slope = before.detach(), gradient.detach()
    free = free_units(states, slope, low, high, held).to(states)
    downhill = -slope * free
    if states.shape[1] <= DENSE and gradient.grad_fn is not None:
        direction = _saddle_free(gradient, leaf, free, downhill)
    else:
        size = downhill.norm(dim=1)
        wanted = size * torch.clamp(size.sqrt(), max=0.1)  # superlinear: the closer, the more exactly
        direction = conjugate_gradients(lambda v: free * _times_hessian(gradient, leaf, v * free), downhill, wanted)
    direction = torch.where((direction * downhill).sum(1, keepdim=True) > 0, direction, downhill)
    return _line_search(energy, states, before, slope, direction, low, high)


def _saddle_free(gradient: Tensor, leaf: Tensor, free: Tensor, downhill: Tensor) -> Tensor:
    batch, units = free.shape
    basis = torch.eye(units, dtype=free.dtype, device=free.device)[:, None].expand(-1, batch, -1)
    (columns,) = torch.autograd.grad(gradient, leaf, basis, is_grads_batched=True, materialize_grads=True)
    both = free[:, :, None] * free[:, None, :]
    hessian = columns.transpose(0, 1) * both + torch.diag_embed(1 - free)  # what is held stands alone
    curvature, axes = torch.linalg.eigh((hessian + hessian.mT) / 2)
    curvature = curvature.abs()
    floor = curvature.amax(1, keepdim=True) * torch.finfo(free.dtype).eps
    along = (axes.mT @ downhill[:, :, None]).squeeze(2) / curvature.clamp(min=floor.clamp(min=1e-30))
    return (axes @ along[:, :, None]).squeeze(2) * free


def _times_hessian(gradient: Tensor, leaf: Tensor, vector: Tensor) -> Tensor:
    if gradient.grad_fn is None:
        return torch.zeros_like(vector)  # an energy that is linear in the states has no curvature
    (product,) = torch.autograd.grad(gradient, leaf, vector, retain_graph=True, materialize_grads=True)
    return product


def conjugate_gradients(product: Function, right: Tensor, wanted: Tensor, most: int | None = None) -> Tensor:
    """Solves `H x = right` per sample until the rest is below `wanted`; stops a sample at negative curvature.

    Args:
        product: Vectors (batch, n) to `H v`.
        right: (batch, n).
        wanted: Norm of the rest, (batch,).
        most: Bound on the iterations; 2 n when omitted.
    """
    solution, rest = torch.zeros_like(right), right
    direction, square = right, (right * right).sum(1)
    going = square.sqrt() > wanted
    for _ in range(most or 2 * right.shape[1]):
        if not bool(going.any()):
            break
        bent = product(direction)
        curvature = (direction * bent).sum(1)
        going = going & (curvature > 0)
        length = torch.where(going, square / torch.where(going, curvature, 1.0), 0.0)[:, None]
        solution, rest = solution + length * direction, rest - length * bent
        new = torch.where(going, (rest * rest).sum(1), square)
        direction = torch.where(going[:, None], rest + (new / square.clamp(min=1e-300))[:, None] * direction, direction)
        square = new
        going = going & (square.sqrt() > wanted)
    return solution


def _line_search(
    energy: Function, states: Tensor, before: Tensor, slope: Tensor, direction: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    length = torch.ones_like(before)
    found, done = states, torch.zeros_like(before, dtype=torch.bool)
    rounding = 8 * torch.finfo(before.dtype).eps * before.abs()
    with torch.no_grad():
        for _ in range(HALVINGS):
            tried = torch.minimum(torch.maximum(states + length[:, None] * direction, low), high)
            promised = (slope * (tried - states)).sum(1)
            enough = (energy(tried) <= before + ARMIJO * promised + rounding) & ~done
            found = torch.where(enough[:, None], tried, found)
            done = done | enough
            if bool(done.all()):
                break
            length = torch.where(done, length, length / 2)
    return found
