"""The energy block: an `nn.Module` whose forward settles freely and whose backward settles the nudged phases.

`loss.backward()` therefore runs the whole hybrid algorithm, back-propagation through the host's modules and
equilibrium propagation through the arrays, over any chain of the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from drivers.errors import NotSettled
from firmware_specs.shown import Shown
from firmware_specs.topology import Topology
from hil.counterparts.cell_array import CellArray
from hil.counterparts.seam import Bench, Nudge, PlacementError, Settled, States
from hil.learning.energies import Crossbar, Energy
from hil.learning.energies.checks import check_energy
from hil.learning.estimator import Estimator, Rule, RuleByLayer, check_gradients
from hil.learning.inputs import (
    check_drive,
    check_option,
    check_place,
    clipped_weights,
    complaints,
    equal,
    in_own_precision,
    tell_once,
)
from hil.learning.placing import placed, placed_beside
from hil.learning.projecting import projected_after_steps
from hil.learning.surroundings import (
    FIRST_ONLY,
    NO_TRANSFORM,
    NoSecondDerivative,
    NotScriptable,
    NotTraceable,
    is_batched,
    recorded_by_func,
    refuse_recording,
)
from hil.learning.unsettled import Unsettled

Observer = Callable[[Settled], None]
"""Told of every settle; a training loop collects settled fraction and clipping with it."""


class EnergyBlock(nn.Module, Shown, NotScriptable):
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
        beside: More arrays with the same cells, which do not settle: a rule of updates gathers gradients there.
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
        beside: int = 0,
    ) -> None:
        super().__init__()
        check_place(topology, bench, beside)
        self.energy = topology if isinstance(topology, Energy) else Crossbar.of(topology)
        drawn = self.energy.initial()
        if self.energy.topology is None:
            check_energy(self.energy, drawn)
        self.array = placed(self.energy, bench)
        self.beside = tuple(placed_beside(self.energy, bench) for _ in range(beside))
        self.quantized = bench.quantized
        self.estimator = estimator
        self.observer = observer
        self.generator = generator
        self.reads = reads
        self.unsettled = unsettled
        self.pulsed = pulsed
        self.address = bench.address
        self._bench = bench
        self._told: set[str] = set()
        if pulsed:
            self.register_buffer("prepared", torch.tensor(False))
        self._programmed: tuple[Tensor, ...] | None = None
        self._names = tuple(drawn)
        for name, value in drawn.items():
            if hasattr(self, name):
                raise ValueError(
                    f"{self.energy.name}.initial: {name!r} is taken by the block: call the parameter otherwise"
                )
            self.register_parameter(name, nn.Parameter(value))
        self.project()
        projected_after_steps(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Options may be exchanged at any time; each is checked where it is given."""
        check_option(name, value)
        super().__setattr__(name, value)

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
        refuse_recording(drive)
        if torch.compiler.is_compiling():
            from hil.learning.opaque import run

            return run(self, drive)
        return self.eager(drive)

    def layers(self, drive: Tensor) -> tuple[Tensor, ...]:
        """Measured free states of every layer, (batch, *layer) each, first to last; a loss may look at any of them.

        Backward then nudges every layer by its own error (intermediate losses: arXiv 2508.15989), which `reference:`
        and devices that multiply can do.

        Raises:
            ValueError: as `forward`; or the estimator nudges the last layer only.
        """
        refuse_recording(drive)
        if not isinstance(self.estimator, RuleByLayer):
            rule = getattr(self.estimator, "kind", type(self.estimator).__name__)
            raise ValueError(f"estimator {rule!r} nudges the last layer only: it has no gradients_by_layer")
        return tuple(state.to(drive.dtype) for state in self._settled(drive, True))

    def eager(self, drive: Tensor) -> Tensor:
        """The forward pass itself, in the block's own precision whatever autocast would have."""
        return self._settled(drive, False)[0].to(drive.dtype)

    def _settled(self, drive: Tensor, every: bool) -> tuple[Tensor, ...]:
        if recorded_by_func():
            raise NotTraceable(NO_TRANSFORM)
        parameters = self.current()
        like = next(iter(parameters.values()), None)
        given = in_own_precision(drive, like)
        check_drive(given, self.energy.drive_shape, like)
        with torch.autocast(given.device.type, enabled=False):
            self.program()
            shaped = given.reshape(len(given), *self.energy.drive_shape)
            states: tuple[Tensor, ...] = _Settle.apply(self, tuple(parameters), every, shaped, *parameters.values())
        return states

    def current(self) -> dict[str, Tensor]:
        """The parameters as they are used: behind pruning masks and parametrizations, too."""
        return {name: getattr(self, name) for name in self._names}

    def program(self) -> None:
        """Hands the parameters to the array if their content changed since the last time, never otherwise.

        After a resume they are handed over once more; an array that was restored finds no cell to write. Contents are
        compared, not version counters: fused optimizers, `.data`, `vector_to_parameters` and averaged copies write
        without counting.
        """
        if getattr(self._bench, "closed", False):
            raise ValueError(f"{self.address} is closed: keep the bench open as long as its blocks are used")
        if self.pulsed:
            self._prepare()
            return
        named = {name: value.detach() for name, value in self.current().items()}
        values = tuple(named.values())
        if equal(values, self._programmed):
            return
        self._programmed = None
        programmed = self.array.program(named)
        self._programmed = tuple(value.clone() for value in values)
        if self.observer is None and programmed.clipped:
            tell_once(self._told, clipped_weights(programmed))

    def _prepare(self) -> None:
        prepared = self.get_buffer("prepared")
        if not bool(prepared):
            if not isinstance(self.array, CellArray):
                raise ValueError("pulsed updates need cells: this counterpart cannot be pulsed")
            self.array.prepare({name: value.detach() for name, value in self.current().items()})
            prepared.fill_(True)

    def project(self) -> None:
        """Moves parameters the array cannot hold to the end of its range; every optimizer step of torch ends with it.

        A conductance that the optimizer made negative becomes 0 (projected gradient descent).
        """
        ranges = self.array.ranges
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                own = self.energy.bounds(name)
                cells = ranges.weight if name.startswith("weight") else ranges.bias
                low, high = max(cells[0], own[0]), min(cells[1], own[1])
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
        elif self.unsettled != "refuse":
            tell_once(self._told, complaints(settled))
        if self.unsettled == "refuse":
            for number, phase in enumerate(settled.phases):
                complaint = phase.complaint()
                if complaint is not None:
                    name = f"nudged phase {number}" if number else "free phase"
                    raise NotSettled(f"{name}: {complaint}", todo="Allow more sweeps or time, or a larger tolerance")
        return settled

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: it programs its array at its first forward pass."""
        return self.__dict__ | {"_programmed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy (`copy.deepcopy`, pickle): its optimizers project it, too; its array is a copy of its own."""
        super().__setstate__(state)
        projected_after_steps(self)

    def extra_repr(self) -> str:
        """Layers, counterpart and rule."""
        return ", ".join(f"{name}: {fact}" for name, fact in self.facts().items())

    def facts(self) -> dict[str, object]:
        """Energy, layers, counterpart and rule, for `repr` and notebooks."""
        sizes = " - ".join("x".join(map(str, shape)) for shape in self.energy.layers)
        rule = getattr(self.estimator, "kind", type(self.estimator).__name__)
        return {"energy": self.energy.name, "layers": sizes, "on": self.address, "estimator": rule}

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
    def forward(
        ctx: Any, block: EnergyBlock, names: tuple[str, ...], every: bool, drive: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        settled = block.settle(drive)
        ctx.block, ctx.names = block, names
        ctx.save_for_backward(block.heard(settled, drive.device), drive, *parameters, *settled.free)
        return tuple(state.clone() for state in (settled.free if every else settled.free[-1:]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph: what comes from here has no graph
            raise NoSecondDerivative(FIRST_ONLY)
        if recorded_by_func() or is_batched(gradients[0]):  # is_grads_batched, jacobian(vectorize=True)
            raise NotTraceable(NO_TRANSFORM)
        block: EnergyBlock = ctx.block
        heard, drive, *rest = ctx.saved_tensors
        parameters = dict(zip(ctx.names, rest, strict=False))
        free = tuple(rest[len(ctx.names) :])
        if heard is not None:
            gradients = tuple(g * heard.view(-1, *[1] * (g.dim() - 1)) for g in gradients)
        with torch.autocast(drive.device.type, enabled=False):
            if len(gradients) > 1:
                found = block.estimator.gradients_by_layer(block, drive, parameters, free, gradients)  # type: ignore[attr-defined]
            else:
                found = block.estimator.gradients(block, drive, parameters, free, gradients[0])
        by_drive, by_parameter = check_gradients(block.estimator, found, drive, parameters)
        return None, None, None, by_drive, *(by_parameter[name] for name in ctx.names)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        """Forward-mode derivatives are refused."""
        raise NoSecondDerivative(FIRST_ONLY)
