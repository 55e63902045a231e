"""The network on a rack's crossbar: cells written with pulses and verified, phases measured sample by sample.

A cell whose target moved less than the write tolerance is left alone. The equilibrium of a passive network does not
depend on its past, so a free phase that was measured already is not measured again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drivers.rack import network, program
from drivers.rack.rig import Rig
from firmware_specs.topology import Topology
from hil.counterparts.checks import check_inputs, constant_nudges
from hil.counterparts.mapping import crossbar_matrix
from hil.counterparts.seam import Nudge, Parameters, Phase, Programmed, Ranges, Settled, States

UNSETTLED_V = 1e-3
"""Two readings of the first free phase may differ by this much."""


class RackArray:
    """The network on the crossbar."""

    def __init__(self, rig: Rig, topology: Topology) -> None:
        self.topology = topology
        self.phases = 0
        self.updates = 0
        self.unverified = 0
        self._rig, self._units = rig, rig.rack.units
        self._law = program.PulseLaw()
        self._session: network.NetworkSession | None = None
        self._written = np.full((rig.rack.rows, rig.rack.columns), np.nan)
        self._checked = False
        sizes = [layer.units for layer in topology.layers]
        diodes = [layer.excitatory if layer.clamped else None for layer in topology.layers]
        self.placed = placed = network.layout(self._rig, int(np.prod(topology.drive_shape)), sizes, diodes)
        rack = rig.rack
        self._on_network = (
            np.array([f"row{i}" in placed.used for i in range(rack.rows)]),
            np.array([f"col{j}" in placed.used for j in range(rack.columns)]),
        )

    @property
    def ranges(self) -> Ranges:
        """`limits.g_min_s .. g_max_s` and `limits.nudge_a`; no biases, and set-points without steps to see."""
        limits, units = self._rig.limits, self._units
        weight = limits.g_min_s / units.weight_s, limits.g_max_s / units.weight_s
        return Ranges(weight, (0.0, 0.0), limits.nudge_a / units.current_a)

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose target moved beyond the tolerance, and verifies each."""
        wanted, clipped = self._targets(parameters)
        limits = self._rig.limits
        moved = np.abs(wanted - self._written) > self._units.tolerance * (limits.g_max_s - limits.g_min_s)
        due = ~np.isnan(wanted) & (np.isnan(self._written) | moved)
        cells = int((~np.isnan(wanted)).sum())
        if due.any():
            self._leave_network()
            tolerance = self._units.tolerance / 2
            done = program.write(self._rig, np.where(due, wanted, np.nan), self._law, tolerance=tolerance)
            self.unverified = len(done.missed)
            self._written = np.where(due, wanted, self._written)
        self.updates += 1
        return Programmed(cells, int(due.sum()), clipped)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Sample by sample: sources on, scan; nudge, scan; volts and amperes to model units."""
        check_inputs(self.topology, drive, nudges, start)
        constant = constant_nudges(nudges)
        session, begin = self._network(), self._rig.clock.now_s()
        sources = drive.flatten(1).detach().cpu().double().numpy() * self._units.state_v
        currents = [n.flatten(1).detach().cpu().double().numpy() * self._units.current_a for n in constant]
        if not self._checked:
            session.require_settled(sources[0], UNSETTLED_V)
            self._checked = True
        again = start is None or not constant or self._rig.rack.measures_source_currents
        measured: list[tuple[network.Phase, ...]] = []
        for index, volts in enumerate(sources):
            measured.append(session.settle(volts, [c[index] for c in currents], free=again, reads=reads))
            self.phases += len(measured[-1])
        phases = [self._states([sample[p] for sample in measured], drive) for p in range(len(measured[0]))]
        free = phases.pop(0) if again else start
        assert free is not None  # noqa: S101 - `again` says so
        none = torch.zeros(len(drive), dtype=torch.int64, device=drive.device)
        report = Phase(none == 0, none, none.float(), none, none)
        currents_of = self._currents(measured, drive) if again else None
        return Settled(
            free, tuple(phases), (report,) * (1 + len(constant)), currents_of, self._rig.clock.now_s() - begin
        )

    @property
    def held_s(self) -> NDArray[np.float64]:
        """What was last written, siemens, (rows, columns); NaN where nothing was."""
        return self._written.copy()

    def leave(self) -> None:
        """Sources down, relays open."""
        self._leave_network()

    def _network(self) -> network.NetworkSession:
        if self._session is None:
            self._session = network.NetworkSession(self._rig, self.placed)
        return self._session

    def _leave_network(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _targets(self, parameters: Parameters) -> tuple[NDArray[np.float64], int]:
        limits, clipped = self._rig.limits, 0
        wanted = np.full(self._written.shape, np.nan)
        for index, coupling in enumerate(self.topology.couplings):
            matrix = crossbar_matrix(self.topology, coupling, parameters, index).cpu().numpy() * self._units.weight_s
            clipped += int(((matrix < limits.g_min_s * (1 - 1e-6)) | (matrix > limits.g_max_s * (1 + 1e-6))).sum())
            rows, columns, flipped = self.placed.cells(index)
            wanted[rows, columns] = np.clip(matrix.T if flipped else matrix, limits.g_min_s, limits.g_max_s)
        # spare cells on the network's lines: as little as they can be
        beside = np.isnan(wanted) & (self._on_network[0][:, None] | self._on_network[1])
        wanted[beside] = limits.g_min_s
        return wanted, clipped

    def _currents(self, measured: list[tuple[network.Phase, ...]], like: Tensor) -> tuple[Tensor, ...] | None:
        if not self._rig.rack.measures_source_currents:
            return None
        amps = [np.stack([sample[phase].source_a for sample in measured]) for phase in range(len(measured[0]))]
        return tuple((torch.from_numpy(a) / self._units.current_a).view(like.shape).to(like) for a in amps)

    def _states(self, phases: list[network.Phase], like: Tensor) -> States:
        states = []
        for index, layer in enumerate(self.topology.layers):
            volts = np.stack([phase.layers_v[index] for phase in phases])
            states.append((torch.from_numpy(volts) / self._units.state_v).view(-1, *layer.shape).to(like))
        return tuple(states)
