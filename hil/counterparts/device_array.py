"""A block on one array of a real device: model units in, transactions of the Crossbar driver, model units out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drivers.crossbar import Crossbar
from drivers.settling import Settled as Measured
from firmware_specs.codes import SOURCE_CURRENTS, Capability
from firmware_specs.messages import Region, Term, Train, Updated
from firmware_specs.topology import Topology
from hil.counterparts import pulse_plan
from hil.counterparts.cell_array import PulsedCells, Wear
from hil.counterparts.checks import check_inputs, constant_nudges
from hil.counterparts.coincidence_plan import placed
from hil.counterparts.heat import Heat
from hil.counterparts.opened import Opened
from hil.counterparts.seam import Nudge, Parameters, Phase, Programmed, Settled, States

VERIFY_ROUNDS = 3
VERIFY_READS = 4
VERIFY_TOLERANCE = 0.1
"""A cell counts as written when it reads within this fraction of the conductance range of its target."""


class DeviceArray(PulsedCells):
    """A block on one array of a device."""

    def __init__(self, bench: Opened, index: int, topology: Topology) -> None:
        super().__init__(bench.datasheet, topology)
        self.verify = False
        self.unverified = 0
        self.wait_s: float | None = None
        self._targets: list[NDArray[np.float64]] = []
        self._written_at = time.monotonic()
        self._bench, self._index = bench, index
        self.ranges = self._mapping.ranges
        self.heat = Heat(bench.datasheet, topology, self._mapping.state_unit_v)
        bench.crossbar.configure(index, topology.in_rails())

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes; after a resume all of them, each read back before the next step."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        targets = [target.cpu().numpy() for target in wanted]
        self._bench.arm()
        done = self._bench.crossbar.program(self._index, targets)
        if not self._targets:
            self._written_at = time.monotonic()
        self._targets = targets
        self.heat.written([torch.from_numpy(target) for target in targets])
        if self.verify:
            self.unverified = verified(self._bench.crossbar, self._index, targets)
            self.verify = False
        return Programmed(done.cells, done.written, clipped)

    def prepare(self, parameters: Parameters) -> Programmed:
        """Writes pairs of cells about mid-range, from where pulses move them."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        wanted = self._balanced(wanted)
        self._bench.arm()
        done = self._bench.crossbar.program(self._index, [target.cpu().numpy() for target in wanted])
        self._targets, self._written_at = [], time.monotonic()
        self.heat.written(wanted)
        return Programmed(done.cells, done.written, clipped)

    def weights(self, coupling: int, rows: slice, reads: int, pair: int | None = None) -> Tensor:
        """Reads the rows, plane by plane."""
        planes = slice(None) if pair is None else slice(2 * pair, 2 * pair + 2)
        seen = torch.from_numpy(self._bench.crossbar.read_conductances(self._index, coupling, reads, rows, planes))
        return self._mapping.weights(seen) if pair is None else self._mapping.pair_weights(seen)

    def wear(self) -> Wear:
        """By the device's counters, where it has any."""
        crossbar = self._bench.crossbar
        cells = [self.topology.cells(c) for c in self.topology.couplings]
        weights = sum(rows * columns for rows, columns in cells)
        if not crossbar.info.can(Capability.USAGE):
            return Wear(weights, 0, 0)
        counts = [
            crossbar.usage(Region(self._index, n, plane, 0, rows, 0, columns))[0]
            for n, (rows, columns) in enumerate(cells)
            for plane in range(crossbar.planes)
        ]
        return Wear(weights, sum(int(c.sum()) for c in counts), max(int(c.max()) for c in counts))

    def refresh(self) -> Programmed:
        """Writes all programmed cells again, or the crowded pairs of a one-sided law with what they read."""
        crossbar, couplings = self._bench.crossbar, range(len(self.topology.couplings))
        cells = [self.topology.cells(c) for c in self.topology.couplings]
        total = crossbar.planes * sum(rows * columns for rows, columns in cells)
        self._bench.arm()
        if self._targets:
            for n in couplings:
                crossbar.forget(self._index, n, np.ones((crossbar.planes, *cells[n]), dtype=np.bool_))
            done = crossbar.program(self._index, self._targets)
            self._written_at = time.monotonic()
            return Programmed(total, done.written, 0)
        if not self._bench.datasheet.pulses.one_sided:
            return Programmed(total, 0, 0)
        seen = [torch.from_numpy(crossbar.read_conductances(self._index, n, VERIFY_READS)) for n in couplings]
        pairs = [pulse_plan.paired_again(self._bench.datasheet, s) for s in seen]
        done = crossbar.program(self._index, [t.numpy() for t, _ in pairs], only=[m.numpy() for _, m in pairs])
        return Programmed(total, done.written, 0)

    def drifted(self) -> float:
        """Predicted from the datasheet's law and the time since all cells were written."""
        sheet = self._bench.datasheet
        middle_s = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
        return sheet.drift.predicted(time.monotonic() - self._written_at, middle_s, sheet.cells.g_max_s)

    def held(self) -> dict[str, Tensor]:
        """What the host keeps of the array: last written targets, and how long ago all cells were written."""
        age_s = torch.tensor(time.monotonic() - self._written_at, dtype=torch.float64)
        return {"age_s": age_s} | {str(n): torch.from_numpy(target) for n, target in enumerate(self._targets)}

    def hold(self, state: dict[str, Tensor]) -> None:
        """Takes `held` back."""
        self._written_at = time.monotonic() - float(state["age_s"])
        self._targets = [state[str(n)].numpy() for n in range(len(state) - 1)]
        self.heat.written([torch.from_numpy(target) for target in self._targets])

    def _train(self, coupling: int, train: pulse_plan.Train) -> None:
        counts, law = train.counts.cpu().numpy().astype(np.uint16), self._sheet.pulses
        region = Region(self._index, coupling, train.plane, 0, counts.shape[0], 0, counts.shape[1])
        self._bench.arm()
        self._bench.crossbar.pulse(region, up=train.up, amplitude_v=law.amplitude_v, width_s=law.width_s, count=counts)

    def _coincide(self, trains: Sequence[Train]) -> None:
        law = self._sheet.pulses
        here = [placed(train, self._index, coupling=train.region.coupling) for train in trains]
        self._bench.arm()
        self._bench.crossbar.coincide(self._index, here, amplitude_v=law.amplitude_v, width_s=law.width_s)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """One transaction: model units in, measured states in model units out, in the drive's dtype and device."""
        check_inputs(self.topology, drive, nudges, start)
        constant = constant_nudges(nudges)
        current_a, unit_v = self._mapping.current_unit_a, self._mapping.state_unit_v
        info = self._bench.crossbar.info
        layers = [*range(len(self.topology.layers))]
        if info.can(Capability.SOURCE_CURRENT) and self.topology.source is not None:
            layers.append(SOURCE_CURRENTS)
        loaded = start if info.can(Capability.STATE_LOAD) else None
        self._bench.arm()
        measured = self._bench.crossbar.settle(
            self._index,
            _flat(drive * self._mapping.drive_unit),
            [_flat(n * current_a) for n in constant],
            layers=layers,
            reads=reads,
            time_s=self.wait_s or 0.0,
            start_v=None if loaded is None else [_flat(s * unit_v) for s in loaded],
        )
        settled = self._in_model_units(measured, drive, unit_v, current_a)
        self.heat.settled(drive, [settled.free, *settled.nudged], reads, self.wait_s)
        return settled

    def update(self, drive: Tensor, nudges: Sequence[Tensor], terms: Sequence[Term], windows_s: Tensor) -> Updated:
        """As many transactions as the device's messages, times and store ask for."""
        check_inputs(self.topology, drive, nudges, None)
        self._bench.arm()
        return self._bench.crossbar.update(
            self._index,
            _flat(drive * self._mapping.drive_unit),
            [_flat(n * self._mapping.current_unit_a) for n in nudges],
            terms,
            windows_s.cpu().numpy(),
            time_s=self.wait_s or 0.0,
        )

    def _in_model_units(self, measured: Measured, drive: Tensor, unit_v: float, current_a: float) -> Settled:
        shapes = [layer.shape for layer in self.topology.layers]
        phases = len(measured.settled)
        states = [
            tuple(
                (torch.from_numpy(values[phase]).reshape(-1, *shape) / unit_v).to(drive)
                for values, shape in zip(measured.states_v, shapes, strict=True)
            )
            for phase in range(phases)
        ]
        currents = None
        if measured.source_a is not None:
            shape = self.topology.drive_shape
            currents = tuple(
                (torch.from_numpy(values).reshape(-1, *shape) / current_a).to(drive) for values in measured.source_a
            )
        reports = tuple(_report(measured, phase, drive.device) for phase in range(phases))
        return Settled(states[0], tuple(states[1:]), reports, currents, float(measured.seconds.sum(0).max()))


def verified(
    crossbar: Crossbar,
    array: int,
    targets_s: Sequence[NDArray[np.float64]],
    rounds: int = VERIFY_ROUNDS,
    tolerance: float = VERIFY_TOLERANCE,
) -> int:
    """Reads every cell of an array back and writes again what is off; returns how many cells stay off."""
    low, high = crossbar.g_range_s
    for rounds_left in reversed(range(rounds)):
        off = 0
        for coupling, target in enumerate(targets_s):
            read = crossbar.read_conductances(array, coupling, VERIFY_READS)
            wrong = np.abs(read - target) > tolerance * (high - low)
            off += int(wrong.sum())
            if rounds_left and wrong.any():
                crossbar.forget(array, coupling, wrong)
        if not off or not rounds_left:
            break
        crossbar.program(array, targets_s)
    return off


def _flat(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy().reshape(len(values), -1)


def _report(measured: Measured, phase: int, where: torch.device) -> Phase:
    def tensor(values: NDArray[Any], dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values[phase].astype(np.float64), dtype=dtype, device=where)

    return Phase(
        tensor(measured.settled, torch.bool),
        tensor(measured.iterations, torch.int64),
        tensor(measured.residual, torch.float32),
        tensor(measured.clipped, torch.int64),
        tensor(measured.rail_codes, torch.int64),
    )
