"""A settle in SI units to converter codes and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.convert import Floats, from_codes, rail_codes, reach, to_codes
from drivers.errors import OutOfRange, ProtocolViolation
from drivers.guard import Guard
from drivers.portions import HEAD, Cost, Sizes
from firmware_specs.codes import SOURCE_CURRENTS, ConverterId, Quantity
from firmware_specs.messages import Codes, Converter, Settle, SettleReply, width_for
from firmware_specs.topology import Topology

BLOCK_HEAD = 8
"""Bytes of a layer's place in a request and of a block besides its codes, at most."""


@dataclass(frozen=True)
class Settled:
    """What a settle measured; phase 0 is the free phase, and every array begins with (phases, batch).

    Attributes:
        states_v: One array a layer read, (phases, batch, units), volts.
        source_a: Currents into the source nodes, (phases, batch, nodes), amperes, where they were read.
        settled: Residual within the device's tolerance.
        iterations: Sweeps; zeros where the device does not iterate.
        seconds: Settling time on the device.
        residual: Largest state change seen at the end, state units.
        clipped: Drive and nudge values the converters clipped.
        rail_codes: Readings at the first or last ADC code.
    """

    states_v: tuple[Floats, ...]
    source_a: Floats | None
    settled: NDArray[np.bool_]
    iterations: NDArray[np.uint32]
    seconds: Floats
    residual: Floats
    clipped: NDArray[np.int64]
    rail_codes: NDArray[np.int64]


class SettleCodec:
    """Settles of one array, between SI units and codes.

    Args:
        converters: The device's converters, by id.
        guard: Checks what would be sent.
        topology: What the array holds.
        device: Named in errors.
    """

    def __init__(self, converters: Mapping[int, Converter], guard: Guard, topology: Topology, device: str) -> None:
        self._converters = converters
        self._guard = guard
        self._topology = topology
        self._device = device

    def adc(self, layer: int) -> Converter:
        """The converter that reads a layer; of -1 the one that reads source currents."""
        if layer == SOURCE_CURRENTS:
            return self._converter(ConverterId.SOURCE_ADC)
        clamped = self._topology.layers[layer].clamped
        return self._converter(ConverterId.STATE_ADC if clamped else ConverterId.OUTPUT_ADC)

    def units(self, layer: int) -> int:
        """Units of a layer, or source nodes."""
        return int(np.prod(self._topology.shape(layer)))

    def drive(self, values: Floats) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of a drive and the clipped values of each sample; currents, or voltages of source nodes."""
        return self._send("drive", self._converter(ConverterId.DRIVE_DAC), values, self._topology.drive_shape)

    def nudge(self, values: Floats) -> tuple[Codes, NDArray[np.int64]]:
        """Codes of a nudge and the clipped values of each sample."""
        return self._send("nudge", self._converter(ConverterId.NUDGE_DAC), values, self._topology.nudge_shape)

    def start(self, states_v: Sequence[Floats]) -> tuple[Codes, ...]:
        """Codes of states to start from."""
        if len(states_v) != len(self._topology.layers):
            raise OutOfRange(
                f"start: {len(states_v)} layers given, the array has {len(self._topology.layers)}", device=self._device
            )
        for layer, values in enumerate(states_v):
            self._guard.finite(f"start of layer {layer}", values)
        return tuple(to_codes(self.adc(layer), values)[0] for layer, values in enumerate(states_v))

    def parts(self, whole: Settle, step: int) -> list[Settle]:
        """A settle as requests of at most `step` samples each."""
        cuts = [slice(at, at + step) for at in range(0, len(whole.drive), step)]
        return [
            replace(
                whole,
                drive=whole.drive[cut],
                nudges=tuple(codes[cut] for codes in whole.nudges),
                start=None if whole.start is None else tuple(codes[cut] for codes in whole.start),
            )
            for cut in cuts
        ]

    def cost(self, whole: Settle, sizes: Sizes, seconds: float) -> tuple[Cost, int]:
        """What one sample of a settle costs, and the bytes of a request or reply besides, at most."""
        phases = 1 + len(whole.nudges)
        given = [whole.drive, *whole.nudges, *(whole.start or ())]
        widths = [width_for(self.adc(layer).max_code * whole.reads) for layer in whole.layers]
        wide = max(widths, default=1)
        states = wide * sum(self.units(layer) for layer in whole.layers)
        reply = sizes.clipped + phases * (sizes.statistics + states)
        each = Cost(sum(codes.shape[1] * codes.dtype.itemsize for codes in given), reply, seconds)
        return each, HEAD + BLOCK_HEAD * (len(given) + len(whole.layers))

    def collect(
        self,
        requests: Sequence[Settle],
        replies: Sequence[SettleReply],
        clipped: NDArray[np.int64],
        dtype: np.dtype[Any],
    ) -> Settled:
        """Puts the replies of a batch together."""
        for request, reply in zip(requests, replies, strict=True):
            self._check(request, reply)
        layers, reads = requests[0].layers, requests[0].reads
        values: dict[int, Floats] = {}
        rails = np.zeros_like(clipped)
        for place, layer in enumerate(layers):
            codes = np.concatenate([reply.states[place] for reply in replies], axis=1)
            values[layer] = from_codes(self.adc(layer), codes, reads, dtype)
            rails += rail_codes(self.adc(layer), codes, reads)
        return Settled(
            tuple(values[layer] for layer in layers if layer != SOURCE_CURRENTS),
            values.get(SOURCE_CURRENTS),
            np.concatenate([reply.settled for reply in replies], axis=1),
            np.concatenate([reply.iterations for reply in replies], axis=1),
            np.concatenate([reply.seconds for reply in replies], axis=1),
            np.concatenate([reply.residual for reply in replies], axis=1),
            clipped,
            rails,
        )

    def _check(self, request: Settle, reply: SettleReply) -> None:
        phases, batch = 1 + len(request.nudges), len(request.drive)
        shapes = tuple(codes.shape for codes in reply.states)
        expected = tuple((phases, batch, self.units(layer)) for layer in request.layers)
        if reply.settled.shape != (phases, batch) or shapes != expected:
            raise ProtocolViolation(
                f"a settle of {phases} phases x {batch} samples was answered with {reply.settled.shape} and states "
                f"{shapes}, expected {expected}",
                device=self._device,
            )
        for layer, codes in zip(request.layers, reply.states, strict=True):
            if codes.size and int(codes.max()) > self.adc(layer).max_code * request.reads:
                raise ProtocolViolation(
                    f"layer {layer} was answered with code {int(codes.max())}, above the converter's "
                    f"{self.adc(layer).max_code * request.reads}",
                    device=self._device,
                )

    def _send(
        self, what: str, converter: Converter, values: Floats, shape: tuple[int, ...]
    ) -> tuple[Codes, NDArray[np.int64]]:
        expected = int(np.prod(shape))
        if values.dtype.kind != "f" or values.ndim != 2 or values.shape[1] != expected or not len(values):
            raise OutOfRange(
                f"{what}: floating-point numbers (batch, {expected}) are needed, got {values.dtype} {values.shape}",
                device=self._device,
            )
        self._guard.finite(what, values)
        codes, clipped = to_codes(converter, values)
        if converter.quantity == Quantity.VOLT:
            self._guard.source_voltage(reach(converter, codes))
        else:
            self._guard.current(what, reach(converter, codes))
        return codes, clipped

    def _converter(self, which: ConverterId) -> Converter:
        if which not in self._converters:
            raise OutOfRange(f"the device has no converter {which.name}", device=self._device)
        return self._converters[which]
