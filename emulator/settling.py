"""The phases of one settle: free, then nudged ones from its equilibrium, with the cells' read noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import network, transient
from emulator.couplings import repeated
from emulator.currents import States
from emulator.network import Network, Relaxed
from emulator.nodes import Nodes
from emulator.placed import PlacedArray


@dataclass(frozen=True)
class Phases:
    """How the phases of one transaction are settled.

    Read noise of a Hopfield array enters as currents into the summing nodes (`emulator.read_noise`), drawn for the
    voltages of the noise-free equilibrium. With `read_noise.correlation = "transaction"` every sample meets one
    realization in all its phases: 1/f noise is slow beside a settle, and cancels in the contrast to first order. With
    `"phase"` each phase meets its own. Cells of a resistive network draw one realization of
    their conductances a transaction in either case.

    Attributes:
        placed: The array, brought up to the clock.
        time_s: Wait of one phase.
        generator: Source of the read noise.
        network: What settles.
    """

    placed: PlacedArray
    time_s: float
    generator: torch.Generator
    network: Network

    @classmethod
    def begin(cls, placed: PlacedArray, time_s: float, generator: torch.Generator) -> Phases:
        """A transaction on an array; a resistive network's cells draw their noise now."""
        noisy = placed.sheet.resistive and placed.sheet.read_noise.law != "none"
        return cls(placed, time_s, generator, placed.noisy_network(generator) if noisy else placed.network)

    def free(self, drive: Tensor, start: States | None) -> tuple[Relaxed, States | None]:
        """The free phase, and the read-noise currents it met."""
        noise = None if self.placed.sheet.resistive else self.placed.noise
        if noise is None:
            return self._settle(drive, None, start, None), None
        quiet = self._settle(drive, None, start, None)
        offsets = noise.draw(quiet.states, self.generator)
        begin = None if self.transient else quiet.states
        return self._settle(drive, None, begin, offsets), offsets

    def nudged(
        self, drive: Tensor, nudges: Sequence[Tensor], free: Relaxed, offsets: States | None
    ) -> tuple[Relaxed, ...]:
        """The nudged phases, as one stacked batch.

        Args:
            drive: Of the free phase, model units.
            nudges: (batch, *last) each, model units.
            free: The free phase.
            offsets: Its read-noise currents.
        """
        count, start = len(nudges), free.states
        if offsets is not None:
            noise = self.placed.noise
            fresh = self.placed.sheet.read_noise.correlation == "phase" and noise is not None
            if fresh and noise:
                offsets = noise.draw(tuple(repeated(s, count) for s in start), self.generator)
            else:
                offsets = tuple(repeated(o, count) for o in offsets)
        settled = self._settle(drive, network.join(nudges), start, offsets, count)
        return network.split(settled, count)

    @property
    def transient(self) -> bool:
        """True where states are read after a fixed time."""
        return self.placed.sheet.settle.mode == "transient"

    def _settle(
        self, drive: Tensor, nudge: Tensor | None, start: States | None, offsets: States | None, copies: int = 1
    ) -> Relaxed:
        sheet = self.placed.sheet
        if not self.transient:
            stop = network.Stop(sheet.settle.max_iterations, sheet.settle.tolerance)
            return network.relax(self.network, drive, nudge, start, stop, offsets, copies)
        drive = repeated(drive, copies)
        start = None if start is None else tuple(repeated(s, copies) for s in start)
        return transient.run(
            self.network, drive, nudge, start, self.time_s, self._taus(), sheet.settle.tolerance, offsets
        )

    def _taus(self) -> list[float | Tensor]:
        """Time constants: `R C` of a neuron circuit, `C / sum G` of a node of a resistive network."""
        tau_s = self.placed.sheet.neurons.tau_s
        assert tau_s is not None  # noqa: S101 - the datasheet was checked
        return [tau_s / n.total if isinstance(n, Nodes) else tau_s for n in self.network.neurons]
