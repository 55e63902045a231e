"""The energy block: an `nn.Module` whose forward settles freely and whose backward settles the nudged phases.

`loss.backward()` therefore runs the whole hybrid algorithm, back-propagation through the host's modules and
equilibrium propagation through the arrays, over any chain of the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from drivers.errors import NotSettled
from firmware_specs.topology import Topology
from hil.counterparts.seam import AnyEnergy, Array, Bench, CellArray, Nudge, PlacementError, Settled, States
from hil.learning.energies import Crossbar, Energy
from hil.learning.estimator import Estimator, Rule

Observer = Callable[[Settled], None]
"""Told of every settle; a training loop collects settled fraction and clipping with it."""

Unsettled = Literal["count", "leave_out", "refuse"]
"""What becomes of samples whose free phase did not come to rest, see `EnergyBlock`."""


class EnergyBlock(nn.Module):
    """An energy part placed on an array of a bench.

    Parameters are `weight_i` and `bias_i` for coupling `i` of the topology: (post, pre) for dense couplings,
    (out, in, k, k) for convolutional ones; those of another energy are what it calls them.

    Args:
        topology: Layers and couplings, or an energy of one's own (`hil.learning.energies.Energy`).
        bench: Open counterpart; an array is reserved on it.
        estimator: How gradients are obtained: equilibrium propagation, or a baseline of
            `hil.learning.gradients.baseline`. May be exchanged at any time.
        observer: Called with the result of every settle.
        generator: Source of the `random_sign` estimator's draws and of dither.
        reads: Conversions of every state, averaged.
        unsettled: Of samples that did not come to rest the observer is told; `refuse`: a phase with any of them is an
            error. `leave_out`: a sample whose free phase did not settle sends no gradient to the block or through it.
            It has no equilibrium to be moved, and close to one that is barely stable it answers a nudge with more than
            its whole batch, under equilibrium propagation and implicit differentiation alike, and not with the same.
        pulsed: The parameters are written once, so that pulses can move them; from then on the cells alone have the
            weights, and the parameters keep their initial values, which nothing reads.
    """

    def __init__(
        self,
        topology: Topology | Energy,
        bench: Bench,
        estimator: Rule = Estimator(),  # noqa: B008 - immutable
        *,
        observer: Observer | None = None,
        generator: torch.Generator | None = None,
        reads: int = 1,
        unsettled: Unsettled = "count",
        pulsed: bool = False,
    ) -> None:
        super().__init__()
        self.energy = topology if isinstance(topology, Energy) else Crossbar.of(topology)
        self.array = _placed(self.energy, bench)
        self.quantized = bench.quantized
        self.estimator = estimator
        self.observer = observer
        self.generator = generator
        self.reads = reads
        self.unsettled = unsettled
        self.pulsed = pulsed
        if pulsed:
            self.register_buffer("prepared", torch.tensor(False))
        self._programmed: tuple[int, ...] | None = None
        for name, value in self.energy.initial().items():
            self.register_parameter(name, nn.Parameter(value))
        self.project()

    @property
    def topology(self) -> Topology:
        """Layers and couplings.

        Raises:
            PlacementError: its energy is no crossbar network.
        """
        if self.energy.topology is None:
            raise PlacementError(f"the energy {self.energy.name} is no crossbar network: it has no layers on a chip")
        return self.energy.topology

    def forward(self, drive: Tensor) -> Tensor:
        """Measured free state of the last layer, (batch, *nudge_shape).

        Args:
            drive: (batch, *drive_shape), or flat, (batch, units).

        Raises:
            ValueError: a drive of another shape, or one that is not finite.
        """
        expected = self.energy.drive_shape
        if tuple(drive.shape[1:]) not in (expected, (math.prod(expected),)):
            raise ValueError(f"drive: shape {tuple(drive.shape)}, expected (batch, *{expected}), or that flat")
        self.program()
        named = dict(self.named_parameters())
        shaped = drive.reshape(len(drive), *expected)
        state: Tensor = _Settle.apply(self, tuple(named), shaped, *named.values())
        return state

    def program(self) -> None:
        """Hands the parameters to the array if they changed since the last time, never otherwise.

        After a resume they are handed over once more; an array that was restored finds no cell to write.
        """
        if self.pulsed:
            self._prepare()
            return
        versions = tuple(version for p in self.parameters() for version in (id(p), p._version))
        if versions != self._programmed:
            self.array.program({name: value.detach() for name, value in self.named_parameters()})
            self._programmed = versions

    def _prepare(self) -> None:
        prepared = self.get_buffer("prepared")
        if not bool(prepared):
            if not isinstance(self.array, CellArray):
                raise ValueError("pulsed updates need cells: this counterpart cannot be pulsed")
            self.array.prepare({name: value.detach() for name, value in self.named_parameters()})
            prepared.fill_(True)

    def project(self) -> None:
        """Moves parameters the array cannot hold to the end of its range; call it after every optimizer step.

        A conductance that the optimizer made negative becomes 0 (projected gradient descent).
        """
        ranges = self.array.ranges
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                low, high = ranges.weight if name.startswith("weight") else ranges.bias
                own = self.energy.bounds(name)
                low, high = max(low, own[0]), min(high, own[1])
                if math.isfinite(high):
                    parameter.clamp_(low, high)
                elif math.isfinite(low):
                    parameter.clamp_(min=low)

    def settle(self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None) -> Settled:
        """One transaction on the array, reported to the observer.

        Raises:
            NotSettled: where `unsettled` is `refuse`, saying which phase, sample, layer and unit.
        """
        settled = self.array.settle(drive, nudges, start, self.reads)
        if self.observer is not None:
            self.observer(settled)
        if self.unsettled == "refuse":
            for number, phase in enumerate(settled.phases):
                complaint = phase.complaint()
                if complaint is not None:
                    name = f"nudged phase {number}" if number else "free phase"
                    raise NotSettled(f"{name}: {complaint}", todo="Allow more sweeps or time, or a larger tolerance")
        return settled

    def heard(self, settled: Settled, device: torch.device) -> Tensor | None:
        """Samples that send a gradient, (batch,), by their free phase; None where all do."""
        return settled.phases[0].settled.to(device) if self.unsettled == "leave_out" else None

    @property
    def nudge_limit(self) -> float:
        """Largest nudge the counterpart can express, model units."""
        return self.array.ranges.nudge_limit

    @property
    def nudge_step(self) -> float:
        """Distance of two codes of the nudge converter, model units."""
        return self.array.ranges.nudge_step


class _Settle(torch.autograd.Function):
    """Free phase forward; backward leaves the gradient to the block's estimator (DESIGN: EP as one function)."""

    @staticmethod
    def forward(ctx: Any, block: EnergyBlock, names: tuple[str, ...], drive: Tensor, *parameters: Tensor) -> Tensor:
        settled = block.settle(drive)
        ctx.block, ctx.names = block, names
        ctx.save_for_backward(block.heard(settled, drive.device), drive, *parameters, *settled.free)
        return settled.free[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        block: EnergyBlock = ctx.block
        heard, drive, *rest = ctx.saved_tensors
        parameters = dict(zip(ctx.names, rest, strict=False))
        free = tuple(rest[len(ctx.names) :])
        by_output = gradients[0]
        if heard is not None:
            by_output = by_output * heard.view(-1, *[1] * (by_output.dim() - 1))
        by_drive, by_parameter = block.estimator.gradients(block, drive, parameters, free, by_output)
        return None, None, by_drive, *(by_parameter[name] for name in ctx.names)


def _count_writes(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Fused optimizers write without raising the version counters by which a block sees that parameters changed."""
    for group in optimizer.param_groups:
        if group.get("fused"):
            torch.autograd.graph.increment_version([p for p in group["params"] if p.grad is not None])


register_optimizer_step_post_hook(_count_writes)


def _placed(energy: Energy, bench: Bench) -> Array:
    """An array of the bench for an energy.

    Raises:
        PlacementError: it does not fit, or the counterpart holds crossbar networks only.
    """
    if energy.topology is not None:
        return bench.place(energy.topology)
    if isinstance(bench, AnyEnergy):
        return bench.place_energy(energy)
    raise PlacementError(
        f"{bench.address} holds crossbar networks, and the energy {energy.name} is none: settle it on reference:, or "
        "give it a topology (Energy.topology)"
    )
