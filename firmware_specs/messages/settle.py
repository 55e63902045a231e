"""SETTLE and PRODUCT (PROTOCOL.md 7.7 and 7.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages.packing import Codes, Floats, MalformedError, Reader, Writer

MAX_NUDGES = 15


@dataclass(frozen=True, slots=True)
class Settle:
    """Request of SETTLE.

    Attributes:
        array: Which array.
        drive: Drive DAC codes, shape (batch, units of layer 0 or source nodes).
        nudges: Nudge DAC codes of each nudged phase, each (batch, units of the last layer).
        layers: Layers to read, in this order; -1: source currents.
        reads: Conversions of every state; codes come back summed.
        time_s: Wait of one phase; 0: the usual one.
        start: ADC codes of every layer to start from, each (batch, units); None: from rest.
    """

    array: int
    drive: Codes
    nudges: tuple[Codes, ...] = ()
    layers: tuple[int, ...] = ()
    reads: int = 1
    time_s: float = 0.0
    start: tuple[Codes, ...] | None = None

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u16 u8 u8", self.array, self.start is not None, len(self.nudges))
        writer.put("u32 u16 f64", self.drive.shape[0], self.reads, self.time_s)
        writer.put("u8", len(self.layers)).put("i8 " * len(self.layers), *self.layers)
        for block in (self.drive, *self.nudges):
            writer.block(block)
        if self.start is not None:
            writer.put("u8", len(self.start))
            for block in self.start:
                writer.block(block)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        array, started, phases = reader.uint("u16"), reader.flag(), reader.uint("u8", 0, MAX_NUDGES)
        batch, reads = reader.uint("u32", 1), reader.uint("u16", 1)
        at = reader.offset
        time_s = reader.number()
        if time_s < 0:
            raise MalformedError(at, f"settle time {time_s} s, expected 0 or more")
        layers = reader.uints("i8", reader.uint("u8"), -1)
        drive, *nudges = (reader.block(batch) for _ in range(1 + phases))
        start = tuple(reader.block(batch) for _ in range(reader.uint("u8"))) if started else None
        reader.end()
        return cls(array, drive, tuple(nudges), layers, reads, time_s, start)


@dataclass(frozen=True, slots=True)
class SettleReply:
    """Reply of SETTLE; phase 0 is the free phase.

    Attributes:
        settled: Residual within tolerance, (phases, batch) bool.
        iterations: (phases, batch) u4; 0 where the device does not iterate.
        seconds: Settling time, (phases, batch) f4.
        residual: Largest state change seen at the end, in state units, (phases, batch) f4; may be infinite.
        clipped: Drive codes at either end of the DAC, (batch,) u4.
        states: For every layer read: ADC codes summed over the reads, (phases, batch, units).
    """

    settled: NDArray[np.bool_]
    iterations: NDArray[np.uint32]
    seconds: Floats
    residual: Floats
    clipped: NDArray[np.uint32]
    states: tuple[Codes, ...]

    def pack(self) -> bytes:
        """Payload."""
        phases, batch = self.settled.shape
        writer = Writer().put("u8 u32 u8", phases, batch, len(self.states))
        writer.array(self.settled, "u1").array(self.iterations, "u4").array(self.seconds, "f4")
        writer.array(self.residual, "f4").array(self.clipped, "u4")
        for codes in self.states:
            writer.block(codes.reshape(phases * batch, -1))
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        phases, batch, layers = reader.uint("u8", 1), reader.uint("u32", 1), reader.uint("u8")
        settled = reader.array("u1", phases, batch) != 0
        iterations, seconds = reader.array("u4", phases, batch), reader.floats("f4", phases, batch)
        at = reader.offset
        residual, clipped = reader.array("f4", phases, batch), reader.array("u4", batch)
        if np.isnan(residual).any():
            raise MalformedError(at, "residual is NaN")
        states = tuple(reader.block(phases * batch).reshape(phases, batch, -1) for _ in range(layers))
        reader.end()
        return cls(settled, iterations, seconds, residual, clipped, states)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Product:
    """Request of PRODUCT.

    Attributes:
        array: Which array.
        coupling: Which coupling.
        plane: 0, 1, or 255 for plane 0 minus plane 1.
        transposed: Columns driven and rows read.
        inputs: Product DAC codes, (batch, rows or columns).
        reads: Conversions of every line; codes come back summed.
    """

    array: int
    coupling: int
    plane: int
    transposed: bool
    inputs: Codes
    reads: int = 1

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u16 u16 u8 u8", self.array, self.coupling, self.plane, self.transposed)
        return writer.put("u16 u32", self.reads, self.inputs.shape[0]).block(self.inputs).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        head = reader.uint("u16"), reader.uint("u16"), reader.uint("u8"), reader.flag()
        reads, batch = reader.uint("u16", 1), reader.uint("u32", 1)
        product = cls(*head, reader.block(batch), reads)
        reader.end()
        return product


@dataclass(frozen=True, slots=True)
class ProductReply:
    """Reply of PRODUCT: product ADC codes summed over the reads, (batch, columns or rows)."""

    outputs: Codes

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u32", self.outputs.shape[0]).block(self.outputs).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        reply = cls(reader.block(reader.uint("u32", 1)))
        reader.end()
        return reply
