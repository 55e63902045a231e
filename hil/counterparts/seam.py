"""The value seam: what an energy block sees of any counterpart, in torch tensors and model units.

A `Bench` is an open counterpart; `place` reserves one of its arrays for a block and returns the `Array` through
which the block programs and settles. Implementations: `reference`, `emulator`, `device`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from torch import Tensor

from drivers.errors import DeviceError
from firmware_specs.shown import Shown, told
from firmware_specs.topology import Topology
from hil.counterparts.values import Parameters, States
from hil.learning.energies.energy import Energy


@dataclass(frozen=True)
class Hold:
    """Instead of a current: the last layer is held at a state, (batch, *last)."""

    state: Tensor


@dataclass(frozen=True)
class Transposed:
    """A constant current, under which what moved away from the free states acts through the transposed couplings.

    Only where the host relaxes can that be had; where couplings are symmetric it is the current alone.
    """

    current: Tensor


@dataclass(frozen=True)
class ByLayer:
    """Constant currents into all layers, (batch, *layer) each, first to last; only where the host relaxes."""

    currents: tuple[Tensor, ...]


Nudge = Tensor | Callable[[Tensor], Tensor] | Hold | Transposed | ByLayer
"""Current into the last layer: a constant (batch, *last), which is all hardware can do; or, on the reference only, a
function of the last layer's present state, re-evaluated at every iteration, or a state to hold it at; or, on the
reference and where the host relaxes, `Transposed` or `ByLayer`."""


@dataclass(frozen=True)
class Phase:
    """How one phase of a settle went, per sample; every tensor has shape (batch,).

    Attributes:
        settled: True where the states came to rest within the bound.
        iterations: Relaxation sweeps spent; zeros on hardware that does not count.
        residual: Largest state change in the last sweep, model units.
        clipped_drives: Number of drive or nudge values the converters had to clip.
        rail_codes: Number of state readings at the first or last ADC code.
        restless: (batch, 2) layer and unit that moved most at the end, where the counterpart knows and any sample
            is unsettled.
    """

    settled: Tensor
    iterations: Tensor
    residual: Tensor
    clipped_drives: Tensor
    rail_codes: Tensor
    restless: Tensor | None = None

    def complaint(self) -> str | None:
        """How many samples did not settle and where the first of them still moves; None when all settled."""
        unsettled = (~self.settled).nonzero().flatten()
        if len(unsettled) == 0:
            return None
        first = int(unsettled[0])
        place = ""
        if self.restless is not None:
            layer, unit = self.restless[first].tolist()
            place = f", layer {layer} unit {unit} most"
        return (
            f"{len(unsettled)} of {len(self.settled)} samples did not settle: sample {first} still moved by "
            f"{float(self.residual[first]):.1e} after {int(self.iterations[first])} sweeps{place}"
        )


@dataclass(frozen=True, repr=False)
class Settled(Shown):
    """Measured states of the free phase and of each nudged phase, and how each phase went.

    Attributes:
        free: States at the free equilibrium.
        nudged: One set of states a nudge, in the order the nudges were given.
        phases: One report a phase, the free one first.
        source_currents: Currents (batch, *source) that a resistive network's sources deliver, one a phase, where
            the counterpart measures them; None elsewhere.
        seconds: Time the transaction took on the counterpart, where it says so.
    """

    free: States
    nudged: tuple[States, ...]
    phases: tuple[Phase, ...]
    source_currents: tuple[Tensor, ...] | None = None
    seconds: float | None = None

    def facts(self) -> dict[str, object]:
        """Samples, layers, and how each phase went."""
        said: dict[str, object] = {
            "samples": len(self.free[0]),
            "layers": " - ".join("x".join(map(str, state.shape[1:])) for state in self.free),
        }
        for number, phase in enumerate(self.phases):
            name = f"nudged phase {number}" if number else "free phase"
            sweeps, residual = float(phase.iterations.double().mean()), float(phase.residual.max())
            said[name] = f"{float(phase.settled.double().mean()):.0%} settled, {sweeps:.1f} sweeps, {residual:.1e} left"
        return said

    def __repr__(self) -> str:
        """What `facts` says; the states themselves are in `free` and `nudged`."""
        return told(self, self.facts())


@dataclass(frozen=True)
class Programmed:
    """What programming an array did.

    Attributes:
        cells: Cells of the array.
        written: Cells that were actually written.
        clipped: Weights beyond the conductance range, written as its end.
    """

    cells: int
    written: int
    clipped: int


@dataclass(frozen=True)
class Ranges:
    """What an array can hold and be given, model units.

    Attributes:
        weight: Lowest and highest weight; conductances are never negative.
        bias: Lowest and highest bias.
        nudge_limit: Largest nudge the converters can express; infinite where nothing limits it.
        nudge_step: Distance of two codes of the nudge converter; 0 where it has none.
    """

    weight: tuple[float, float] = (float("-inf"), float("inf"))
    bias: tuple[float, float] = (float("-inf"), float("inf"))
    nudge_limit: float = float("inf")
    nudge_step: float = 0.0


class Array(Protocol):
    """One array with one energy block placed on it."""

    @property
    def topology(self) -> Topology:
        """What was placed."""
        ...

    @property
    def ranges(self) -> Ranges:
        """What its cells can hold and its converters express."""
        ...

    def program(self, parameters: Parameters) -> Programmed:
        """Writes weights and biases.

        Raises:
            ValueError: a parameter is missing, misshapen, or not finite.
        """
        ...

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Settles freely, then once for every nudge, each from the free equilibrium of the same drive.

        Args:
            drive: Constant bias current into the first layer, (batch, *topology.drive_shape); the voltages of the
                source nodes in a resistive network.
            nudges: Constant currents into the last layer, (batch, *topology.nudge_shape).
            start: States of an earlier free phase with the same drive and parameters; a counterpart that can load
                states resumes from them, one that cannot settles again.
            reads: Conversions of every state, averaged; an exact counterpart needs one only.
        """
        ...


class Bench(Protocol):
    """An open counterpart: reference, emulator or device."""

    @property
    def address(self) -> str:
        """The address it was opened from."""
        ...

    @property
    def quantized(self) -> bool:
        """True where converters have finite resolution, so that small nudges must be scaled up."""
        ...

    def place(self, topology: Topology) -> Array:
        """Reserves the next free array for a block.

        Raises:
            PlacementError: with the reason why the block does not fit.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Who the counterpart is, for provenance: JSON values only."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything a bit-exact resume needs beyond the model's parameters; empty for a real chip."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`; call after all blocks are placed."""
        ...

    def close(self) -> None:
        """Leaves the counterpart in its safe state."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class TakesCurrentsByLayer(Protocol):
    """An array that the host relaxes, so that `ByLayer` can be had."""

    nudges_every_layer: bool


@runtime_checkable
class AnyEnergy(Protocol):
    """A bench that settles any energy, not only crossbar networks."""

    def place_energy(self, energy: Energy) -> Array:
        """An array for one more block with this energy."""
        ...


@runtime_checkable
class Snapshots(Protocol):
    """A bench whose whole state is too costly to fetch before every step: it goes into checkpoints only."""

    def snapshot(self) -> dict[str, Tensor]:
        """Everything a bit-exact resume needs, `state_dict` included; no more than that where there is no more."""
        ...


@runtime_checkable
class Leased(Protocol):
    """A bench whose outputs stay on only while its owner shows life."""

    def busy(self, seconds: float) -> AbstractContextManager[None]:
        """Work on the host without a verb that takes longer than the lease, and at most so long."""
        ...


@runtime_checkable
class Resting(Protocol):
    """A bench that can switch its outputs off before it is left."""

    def rest(self) -> None:
        """Outputs off; raises `DeviceError` where that is not confirmed."""
        ...


def rest(bench: Bench) -> None:
    """Outputs off before the host does what is slow; who does not confirm it is asked again at the end."""
    if isinstance(bench, Resting):
        with suppress(DeviceError):
            bench.rest()


def busy(bench: Bench, seconds: float) -> AbstractContextManager[None]:
    """Named work on the host; nothing where the counterpart has no outputs."""
    return bench.busy(seconds) if isinstance(bench, Leased) else nullcontext()


class PlacementError(ValueError):
    """A block that cannot be placed on a device; the message says why and what would fit."""


class NotFinite(ValueError):
    """NaN or infinities among currents or parameters: refused before anything is sent, never clipped in silence."""
