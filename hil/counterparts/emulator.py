"""`emulator:DATASHEET?seed=N`: the value door of the software chip, in process and batched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingABC
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from drivers.deed_file import DeedFile
from emulator import cells
from emulator.chip import Chip
from emulator.readout import Reading
from firmware_specs.deeds import NOTHING, Deeds
from firmware_specs.messages import Term, Train, Updated
from firmware_specs.topology import Topology
from hil.counterparts import pulse_plan
from hil.counterparts.cell_array import CellArray, PulsedCells, Wear, together
from hil.counterparts.checks import check_inputs, constant_nudges
from hil.counterparts.counted import CellMaps
from hil.counterparts.heat import Heat
from hil.counterparts.notebook import ShownBench
from hil.counterparts.placement import check_fits, next_array
from hil.counterparts.seam import Nudge, Parameters, Phase, Programmed, Settled, States

REFRESH_READS = 4
"""Readings of every cell that a refresh of pulsed pairs averages."""


class EmulatedArray(PulsedCells):
    """A block on one array of an emulated chip."""

    def __init__(self, chip: Chip, index: int, topology: Topology) -> None:
        super().__init__(chip.datasheet, topology)
        self.index = index
        self.wait_s: float | None = None
        self._chip, self._index = chip, index
        self.ranges = self._mapping.ranges
        self._targets_s: list[Tensor] | None = None
        self._written_at_s = 0.0
        self.heat = Heat(chip.datasheet, topology, self._mapping.state_unit_v)
        chip.configure(index, topology.in_rails())

    def compiled(self, parameters: Parameters) -> bool:
        """By the chip's physics; the host's parameters do not matter."""
        return self.wait_s is None and self._chip.arrays[self._index].compiled()

    def calls_functions(self, parameters: Parameters) -> bool:
        """For sweeps or conversions, which numbers of 32 bits on the CPU have."""
        return self._chip.dtype == torch.float32 and self._chip.device.type == "cpu"

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes, as a driver would."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        targets = [cells.quantize(self._chip.datasheet.cells, t) for t in wanted]
        if self._targets_s is None:
            return self._write_all(targets, clipped)
        total = sum(t.numel() for t in targets)
        masks = [new != old for new, old in zip(targets, self._targets_s, strict=True)]
        written = sum(int(m.sum()) for m in masks)
        if written:
            self._chip.program(self._index, targets, masks)
            self._targets_s = targets
            self.heat.written(targets)
        return Programmed(total, written, clipped)

    def prepare(self, parameters: Parameters) -> Programmed:
        """Writes pairs of cells about mid-range, from where pulses move them."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        done = self._write_all(self._balanced(wanted), clipped)
        self._targets_s = None
        return done

    def weights(self, coupling: int, rows: slice, reads: int, pair: int | None = None) -> Tensor:
        """Read in one transaction."""
        planes = slice(None) if pair is None else slice(2 * pair, 2 * pair + 2)
        seen = self._chip.read(self._index, coupling, (planes, rows, slice(None)), reads)
        return (self._mapping.weights(seen) if pair is None else self._mapping.pair_weights(seen)).cpu()

    def wear(self) -> Wear:
        """By the chip's counters."""
        counts = [self._chip.usage(self._index, n)[0] for n in range(len(self.topology.couplings))]
        weights = sum(each[0].numel() for each in counts)
        return Wear(weights, sum(int(each.sum()) for each in counts), max(int(each.max()) for each in counts))

    def refresh(self) -> Programmed:
        """Writes all programmed cells again, or the crowded pairs of a one-sided law with what they read."""
        if self._targets_s is not None:
            return self._write_all(self._targets_s, 0)
        sheet, couplings = self._chip.datasheet, range(len(self.topology.couplings))
        if not sheet.pulses.one_sided:
            return Programmed(0, 0, 0)
        pairs = [
            pulse_plan.paired_again(sheet, self._chip.read(self._index, n, reads=REFRESH_READS)) for n in couplings
        ]
        done = self._chip.program(self._index, [t for t, _ in pairs], [m for _, m in pairs])
        return Programmed(sum(t.numel() for t, _ in pairs), done.cells, 0)

    def drifted(self) -> float:
        """Predicted from the datasheet's law and the chip's clock."""
        sheet = self._chip.datasheet
        middle_s = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
        return sheet.drift.predicted(self._chip.conditions.clock_s - self._written_at_s, middle_s, sheet.cells.g_max_s)

    def _train(self, coupling: int, train: pulse_plan.Train) -> None:
        place = (train.plane, slice(None), slice(None))
        self._chip.pulse(self._index, coupling, place, train.counts, train.up)

    def _coincide(self, trains: Sequence[Train]) -> None:
        self._chip.coincide(self._index, trains)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """One transaction: model units in, measured states in model units out, in the drive's dtype and device."""
        check_inputs(self.topology, drive, nudges, start)
        current_a, unit_v = self._mapping.current_unit_a, self._mapping.state_unit_v
        constant = constant_nudges(nudges)
        exact = torch.promote_types(drive.dtype, self._chip.dtype)  # a half-precision host has a whole chip
        with torch.no_grad():
            readings = self._chip.settle(
                self._index,
                drive.to(exact) * self._mapping.drive_unit,
                [n.to(exact) * current_a for n in constant],
                None if start is None else [s.to(exact) * unit_v for s in start],
                reads,
                self.wait_s,
            )
        states = [tuple((s if unit_v == 1 else s / unit_v).to(drive) for s in r.states_v) for r in readings]
        self.heat.settled(drive, states, reads, self.wait_s)
        amperes = [r.source_currents_a for r in readings if r.source_currents_a is not None]
        currents = tuple((a / current_a).to(drive) for a in amperes) or None
        return Settled(states[0], tuple(states[1:]), tuple(_report(r) for r in readings), currents)

    def update(self, drive: Tensor, nudges: Sequence[Tensor], terms: Sequence[Term], windows_s: Tensor) -> Updated:
        """One transaction a portion of the batch that the chip can hold."""
        check_inputs(self.topology, drive, nudges, None)
        assert self._sheet.update is not None  # noqa: S101 - `update_unit` was asked
        exact, most = torch.promote_types(drive.dtype, self._chip.dtype), self._sheet.update.batch
        sent = drive.to(exact) * self._mapping.drive_unit
        nudges_a = [n.to(exact) * self._mapping.current_unit_a for n in nudges]
        done = []
        with torch.no_grad():
            for at in range(0, len(drive), most):
                part = slice(at, at + most)
                rest = [n[part] for n in nudges_a], terms, windows_s[part], self.wait_s
                done.append(self._chip.update(self._index, sent[part], *rest))
        return together(done)

    def targets(self) -> list[Tensor] | None:
        """Last written targets, siemens; None before the first write."""
        return self._targets_s

    def restore_targets(self, targets_s: list[Tensor]) -> None:
        """Takes targets from a checkpoint as the last written ones."""
        self._targets_s = targets_s
        self.heat.written(targets_s)

    @property
    def written_at_s(self) -> float:
        """When all cells were last written together, on the chip's clock."""
        return self._written_at_s

    def restore_written_at(self, seconds: float) -> None:
        """Takes `written_at_s` from a checkpoint."""
        self._written_at_s = seconds

    def _write_all(self, targets: list[Tensor], clipped: int) -> Programmed:
        total = sum(t.numel() for t in targets)
        self._chip.program(self._index, targets)
        self._targets_s = targets
        self.heat.written(targets)
        self._written_at_s = self._chip.conditions.clock_s
        return Programmed(total, total, clipped)


def _report(reading: Reading) -> Phase:
    how = reading.settled, reading.iterations, reading.residual
    return Phase(*how, reading.clipped_drives, reading.rail_codes, reading.restless)


class EmulatorBench(ShownBench):
    """An emulated chip, arrays handed out in order.

    Args:
        chip: The chip.
        address: The address it was opened from.
    """

    closed = False

    def __init__(self, chip: Chip, address: str) -> None:
        self.chip = chip
        self.address = address
        self.convolutions = chip.ways
        self._arrays: list[EmulatedArray] = []

    @property
    def quantized(self) -> bool:
        """True where any converter has finite resolution."""
        sheet = self.chip.datasheet
        return any(not c.ideal for c in (sheet.drive_dac, sheet.nudge_dac, sheet.state_adc, sheet.output_adc))

    def place(self, topology: Topology) -> CellArray:
        """Reserves the next array."""
        check_fits(self.chip.datasheet, topology)
        index = next_array(self.chip.datasheet, len(self._arrays))
        array = EmulatedArray(self.chip, index, topology)
        self._arrays.append(array)
        return array

    def deeds(self) -> Deeds:
        """What the chip did so far."""
        self.chip.done.add(self._heat())
        return self.chip.done.total

    @contextmanager
    def counting(self, file: DeedFile) -> Iterator[None]:
        """Within it, a file counts along; it gets what was done so far."""
        file.resolve(boot=0, executed=-1)
        file.add(self.deeds())
        self.chip.done.told.append(file.add)
        try:
            yield
        finally:
            self.deeds()
            self.chip.done.told.remove(file.add)

    def cells(self) -> dict[str, CellMaps]:
        """What the cells have had, and what was last written into them, by array and coupling."""
        found = {}
        for array, placed in self.chip.arrays.items():
            written = self._written(array)
            for number in range(len(placed.crossbars)):
                pulses, joules = self.chip.usage(array, number)
                held = torch.full_like(joules, torch.nan) if written is None else written[number]
                maps = (values.detach().cpu().numpy() for values in (pulses, joules, held))
                found[f"array {array} coupling {number}"] = CellMaps(*maps)
        return found

    def _heat(self) -> Deeds:
        """What work dissipated in the cells since the last call."""
        return sum((array.heat.take() for array in self._arrays), start=NOTHING)

    def _written(self, array: int) -> list[Tensor] | None:
        """What was last written into an array: to look at the cells themselves would move the noise on."""
        return next((a.targets() for a in self._arrays if a.index == array), None)

    def describe(self) -> dict[str, object]:
        """Datasheet and specimen."""
        identity = self.chip.datasheet.identity
        return {
            "kind": "emulator",
            "vendor": identity.vendor,
            "model": identity.model,
            "seed": self.chip.seed,
            "datasheet": self.chip.datasheet.model_dump(mode="json"),
        }

    def state_dict(self) -> dict[str, Tensor]:
        """The chip's state and the last written targets."""
        state = self.chip.state_dict()
        for number, array in enumerate(self._arrays):
            for index, target in enumerate(array.targets() or []):
                state[f"target_{number}.{index}"] = target
            state[f"written_at_{number}"] = torch.tensor(array.written_at_s, dtype=torch.float64)
        return state

    def load_state_dict(self, state: MappingABC[str, Tensor]) -> None:
        """Restores `state_dict` on the same placed blocks."""
        self.chip.load_state_dict(state)
        for number, array in enumerate(self._arrays):
            count = len(array.topology.couplings)
            if f"target_{number}.0" in state:
                array.restore_targets([state[f"target_{number}.{i}"].to(self.chip.device) for i in range(count)])
            array.restore_written_at(float(state[f"written_at_{number}"]))

    def close(self) -> None:
        """Nothing to switch off; its blocks refuse from now on, as they would on a device."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
