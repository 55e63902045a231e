"""CONFIGURE and TOPOLOGY (PROTOCOL.md 7.5): a `Topology` as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from firmware_specs.messages.packing import MalformedError, Reader, Writer
from firmware_specs.topology import LEAST_SLOPE, MOST_SLOPE, Conv, Dense, Layer, Topology, TopologyError


def pack_topology(topology: Topology) -> bytes:
    """Bytes of a topology.

    Raises:
        ValueError: a rail other than 1, which the wire does not carry; `Topology.in_rails` is what a device is told.
    """
    if not topology.clips_at_one:
        raise ValueError(
            f"rails {topology.rails}: a device has its own and is told rails of 1, use topology.in_rails()"
        )
    source = topology.source or ()
    writer = Writer().put("u8 u8", topology.substrate == "resistive", len(source))
    writer.put("u32 " * len(source), *source).put("u8", len(topology.layers))
    for layer in topology.layers:
        writer.put("u8", len(layer.shape)).put("u32 " * len(layer.shape), *layer.shape)
        writer.put("u8 f64", layer.clamped, layer.slope)
    writer.put("u8", len(topology.couplings))
    for coupling in topology.couplings:
        window = (0, 0, 0, 0)
        if isinstance(coupling, Conv):
            window = (coupling.kernel, coupling.stride, coupling.padding, int(coupling.pool))
        writer.put("u8 i8 i8 u8", isinstance(coupling, Conv), coupling.pre, coupling.post, coupling.bias)
        writer.put("u16 u16 u16 u8", *window)
    return writer.done()


class ContradictionError(MalformedError):
    """Fields of a topology that are right in themselves and contradict each other; the message says which."""


def parse_topology(payload: bytes) -> Topology:
    """From bytes; raises `MalformedError`, or `ContradictionError` for layers and couplings that do not fit."""
    return _topology(Reader(payload))


def _topology(reader: Reader) -> Topology:
    substrate: Literal["hopfield", "resistive"] = "resistive" if reader.flag() else "hopfield"
    source = reader.uints("u32", reader.uint("u8", 0, 3), 1) or None
    try:
        layers = tuple(_layer(reader) for _ in range(reader.uint("u8", 1)))
        couplings = tuple(_coupling(reader) for _ in range(reader.uint("u8")))
        reader.end()
        return Topology(substrate=substrate, source=source, layers=layers, couplings=couplings)
    except TopologyError as error:
        raise ContradictionError(reader.offset, error.why) from error


def _layer(reader: Reader) -> Layer:
    at, rank = reader.offset, reader.uint("u8")
    if rank not in (1, 3):
        raise MalformedError(at, f"rank {rank}, expected 1 or 3")
    shape, clamped = reader.uints("u32", rank, 1), reader.flag()
    at, slope = reader.offset, reader.positive()
    if not LEAST_SLOPE <= slope <= MOST_SLOPE:
        raise MalformedError(at, f"slope {slope:g}, expected {LEAST_SLOPE:g} .. {MOST_SLOPE:g}")
    return Layer(shape=shape, clamped=clamped, slope=slope)


def _coupling(reader: Reader) -> Dense | Conv:
    conv, pre, post, bias = reader.flag(), reader.uint("i8", -1), reader.uint("i8"), reader.flag()
    most = 0xFFFF if conv else 0  # of a dense coupling all four are 0
    kernel, stride = reader.uint("u16", conv, most), reader.uint("u16", conv, most)
    padding, pool = reader.uint("u16", 0, most), bool(reader.uint("u8", 0, conv))
    if not conv:
        return Dense(pre=pre, post=post, bias=bias)
    return Conv(pre=pre, post=post, bias=bias, kernel=kernel, stride=stride, padding=padding, pool=pool)


@dataclass(frozen=True, slots=True)
class Configure:
    """Request of CONFIGURE."""

    array: int
    topology: Topology

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u16", self.array).raw(pack_topology(self.topology)).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        return cls(reader.uint("u16"), _topology(reader))


@dataclass(frozen=True, slots=True)
class Configured:
    """Reply of CONFIGURE: rows and columns of every coupling's crossbar."""

    cells: tuple[tuple[int, int], ...]

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u16", len(self.cells))
        for rows, columns in self.cells:
            writer.put("u32 u32", rows, columns)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        cells = tuple((reader.uint("u32"), reader.uint("u32")) for _ in range(reader.uint("u16")))
        reader.end()
        return cls(cells)


def pack_array(array: int) -> bytes:
    """Request of TOPOLOGY."""
    return Writer().put("u16", array).done()


def parse_array(payload: bytes) -> int:
    """From the request of TOPOLOGY; raises `MalformedError`."""
    reader = Reader(payload)
    array = reader.uint("u16")
    reader.end()
    return array
