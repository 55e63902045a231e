"""`emulator:DATASHEET?seed=N`: the value door of the software chip, in process and batched."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from emulator import cells
from emulator.chip import Chip, Reading
from firmware_specs.topology import Topology
from hil.backends.checks import check_inputs
from hil.backends.seam import Nudge, Parameters, Phase, Programmed, Ranges, Settled, States
from hil.mapping import Mapping
from hil.placement import check_fits, next_array


class EmulatedArray:
    """A block on one array of an emulated chip."""

    def __init__(self, chip: Chip, index: int, topology: Topology) -> None:
        self.topology = topology
        self._chip, self._index = chip, index
        self._mapping = Mapping(chip.datasheet)
        self._targets_s: list[Tensor] | None = None
        chip.configure(index, topology)

    @property
    def nudge_limit(self) -> float:
        """Range of the nudge DAC, model units."""
        return self._mapping.nudge_limit

    @property
    def ranges(self) -> Ranges:
        """Range of the cells."""
        return self._mapping.ranges

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes, as a driver would."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        targets = [cells.quantize(self._chip.datasheet.cells, t) for t in wanted]
        total = sum(t.numel() for t in targets)
        if self._targets_s is None:
            self._chip.program(self._index, targets)
            self._targets_s = targets
            return Programmed(total, total, clipped)
        masks = [new != old for new, old in zip(targets, self._targets_s, strict=True)]
        written = sum(int(m.sum()) for m in masks)
        if written:
            self._chip.program(self._index, targets, masks)
            self._targets_s = targets
        return Programmed(total, written, clipped)

    def settle(self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None) -> Settled:
        """One transaction: model units in, measured states in model units out, in the drive's dtype and device."""
        check_inputs(self.topology, drive, nudges)
        current_a, unit_v = self._mapping.current_unit_a, self._mapping.state_unit_v
        constant = [n for n in nudges if isinstance(n, Tensor)]
        if len(constant) < len(nudges):
            raise ValueError("a nudge that follows the state needs reference: a chip holds nudge currents constant")
        with torch.no_grad():
            readings = self._chip.settle(
                self._index,
                drive * self._mapping.drive_unit,
                [n * current_a for n in constant],
                None if start is None else [s * unit_v for s in start],
            )
        states = [tuple((s / unit_v).to(drive) for s in reading.states_v) for reading in readings]
        amperes = [r.source_currents_a for r in readings if r.source_currents_a is not None]
        currents = tuple((a / current_a).to(drive) for a in amperes) or None
        return Settled(states[0], tuple(states[1:]), tuple(_report(r) for r in readings), currents)

    def targets(self) -> list[Tensor] | None:
        """Last written targets, siemens; None before the first write."""
        return self._targets_s

    def restore_targets(self, targets_s: list[Tensor]) -> None:
        """Takes targets from a checkpoint as the last written ones."""
        self._targets_s = targets_s


def _report(reading: Reading) -> Phase:
    return Phase(reading.settled, reading.iterations, reading.residual, reading.clipped_drives, reading.rail_codes)


class EmulatorBench:
    """An emulated chip, arrays handed out in order.

    Args:
        chip: The chip.
        address: The address it was opened from.
    """

    def __init__(self, chip: Chip, address: str) -> None:
        self.chip = chip
        self.address = address
        self._arrays: list[EmulatedArray] = []

    @property
    def quantized(self) -> bool:
        """True where any converter has finite resolution."""
        sheet = self.chip.datasheet
        return any(not c.ideal for c in (sheet.drive_dac, sheet.nudge_dac, sheet.state_adc, sheet.output_adc))

    def place(self, topology: Topology) -> EmulatedArray:
        """Reserves the next array."""
        check_fits(self.chip.datasheet, topology)
        index = next_array(self.chip.datasheet, len(self._arrays))
        array = EmulatedArray(self.chip, index, topology)
        self._arrays.append(array)
        return array

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
        return state

    def load_state_dict(self, state: MappingABC[str, Tensor]) -> None:
        """Restores `state_dict` on the same placed blocks."""
        self.chip.load_state_dict(state)
        for number, array in enumerate(self._arrays):
            count = len(array.topology.couplings)
            if f"target_{number}.0" in state:
                array.restore_targets([state[f"target_{number}.{i}"] for i in range(count)])

    def close(self) -> None:
        """Nothing to switch off."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
