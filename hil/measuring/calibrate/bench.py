"""A bench whose arrays are corrected by a calibration; everything else passes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from emulator.ways import Chosen
from firmware_specs.topology import Topology
from hil.counterparts.compiled import Compiled
from hil.counterparts.convolutions import chosen_by
from hil.counterparts.device_array import DeviceArray
from hil.counterparts.emulator import EmulatedArray
from hil.counterparts.seam import Array, Bench, Nudge, Parameters, Programmed, Ranges, Settled, Snapshots, States, busy
from hil.measuring.calibrate.entries import LayerEntry
from hil.measuring.calibrate.file import CalibrationFile

CORRECTIONS = ("offset", "read_gain", "read_offset")


class CalibratedArray:
    """An array with its readings corrected and the input offsets of its neurons compensated.

    Args:
        array: The array.
        layers: Corrections by layer.
    """

    def __init__(self, array: Array, layers: Mapping[int, LayerEntry]) -> None:
        self._array = array
        self._rail = max(array.topology.rails, default=1.0)  # a calibration counts states in units of it
        self._corrections = {
            number: {
                name: torch.from_numpy(layer.array(name)) * (1.0 if name == "read_gain" else self._rail)
                for name in CORRECTIONS
            }
            for number, layer in layers.items()
        }
        self._curves = {
            n: layer.adc.curve for n, layer in layers.items() if layer.adc is not None and layer.adc.significant
        }

    @property
    def topology(self) -> Topology:
        """What was placed."""
        return self._array.topology

    @property
    def ranges(self) -> Ranges:
        """Of the array."""
        return self._array.ranges

    def compiled(self, parameters: Parameters) -> bool:
        """As the array."""
        return isinstance(self._array, Compiled) and self._array.compiled(parameters)

    def calls_functions(self, parameters: Parameters) -> bool:
        """As the array."""
        return isinstance(self._array, Compiled) and self._array.calls_functions(parameters)

    def program(self, parameters: Parameters) -> Programmed:
        """Writes weights, and biases that cancel the offsets of the neurons they lead to."""
        corrected = dict(parameters)
        for number, coupling in enumerate(self.topology.couplings):
            name = f"bias_{number}"
            if name in corrected and coupling.post in self._corrections and coupling.kind == "dense":
                bias = corrected[name]
                corrected[name] = bias + self._column(coupling.post, "offset", bias).reshape(bias.shape)
        return self._array.program(corrected)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Settles with the first layer's offsets added to the drive; states come back corrected."""
        if 0 in self._corrections and self.topology.source is None:
            drive = drive + self._column(0, "offset", drive).reshape(drive.shape[1:])
        settled = self._array.settle(drive, nudges, start, reads)
        return replace(
            settled, free=self._corrected(settled.free), nudged=tuple(self._corrected(s) for s in settled.nudged)
        )

    def _corrected(self, states: States) -> States:
        return tuple(self._reading(number, state) for number, state in enumerate(states))

    def _reading(self, layer: int, state: Tensor) -> Tensor:
        if layer not in self._corrections:
            return state
        names = ("read_gain", "read_offset")
        gain, offset = (self._column(layer, name, state).reshape(state.shape[1:]) for name in names)
        corrected = (state - offset) / gain
        if layer not in self._curves:
            return corrected
        return corrected - self._curves[layer].of_tensor(corrected / self._rail) * self._rail

    def _column(self, layer: int, name: str, like: Tensor) -> Tensor:
        return self._corrections[layer][name].to(like)


class CalibratedBench:
    """A bench with a calibration.

    Args:
        bench: The counterpart.
        calibration: Of this device, and valid.
        record: What provenance says of it.
    """

    def __init__(self, bench: Bench, calibration: CalibrationFile, record: Mapping[str, object]) -> None:
        self.bench = bench
        self._calibration = calibration
        self._record = dict(record)
        self._placed = 0

    @property
    def address(self) -> str:
        """Of the counterpart."""
        return self.bench.address

    @property
    def quantized(self) -> bool:
        """Of the counterpart."""
        return self.bench.quantized

    @property
    def convolutions(self) -> Chosen | None:
        """Of the counterpart."""
        return chosen_by(self.bench)

    def place(self, topology: Topology) -> Array:
        """Reserves the next array; refused where it was calibrated with another block."""
        entry = self._calibration.entry(self._placed, topology)
        array = self.bench.place(topology)
        self._placed += 1
        if entry.settling is not None and isinstance(array, DeviceArray | EmulatedArray):
            array.wait_s = entry.settling.wait_s
        return CalibratedArray(array, {layer.layer: layer for layer in entry.layers})

    def describe(self) -> dict[str, object]:
        """The counterpart, and its calibration."""
        return self.bench.describe() | {"calibration": self._record}

    def state_dict(self) -> dict[str, Tensor]:
        """Of the counterpart; a calibration has no state."""
        return self.bench.state_dict()

    def snapshot(self) -> dict[str, Tensor]:
        """Of the counterpart, where it has more to save than `state_dict`."""
        return self.bench.snapshot() if isinstance(self.bench, Snapshots) else self.bench.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Of the counterpart."""
        self.bench.load_state_dict(state)

    def busy(self, seconds: float) -> AbstractContextManager[None]:
        """Of the counterpart, where it has outputs."""
        return busy(self.bench, seconds)

    def close(self) -> None:
        """Of the counterpart."""
        self.bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bench.__exit__(kind, value, trace)


def counterpart_of(bench: Bench) -> Bench:
    """What a calibration stands in front of; a bench without one is its own counterpart."""
    return bench.bench if isinstance(bench, CalibratedBench) else bench
