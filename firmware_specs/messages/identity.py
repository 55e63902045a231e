"""What a device says of itself: IDENTIFY, FABRIC, CONVERTERS, PARAMETERS, LIMITS (PROTOCOL.md 7.1 and 7.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from operator import attrgetter
from typing import Self

from firmware_specs.codes import Capability
from firmware_specs.messages.packing import MalformedError, Reader, Writer


@dataclass(frozen=True, slots=True)
class Identity:
    """Reply of IDENTIFY."""

    vendor: str
    model: str
    serial: str
    firmware: str
    version: int
    boot: int
    capabilities: Capability

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().text(self.vendor).text(self.model).text(self.serial).text(self.firmware)
        return writer.put("u8 u32 u64", self.version, self.boot, self.capabilities).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`. Unknown capability bits are kept."""
        reader = Reader(payload)
        vendor, model, serial, firmware = (reader.text() for _ in range(4))
        version, boot, bits = reader.uint("u8"), reader.uint("u32"), reader.uint("u64")
        reader.end()
        return cls(vendor, model, serial, firmware, version, boot, Capability(bits))


@dataclass(frozen=True, slots=True)
class FabricInfo:
    """Reply of FABRIC: what can be placed. `layers` is empty unless layer sizes are fixed."""

    resistive: bool
    arrays: int
    max_layers: int
    max_units: int
    max_rows: int
    max_columns: int
    layers: tuple[int, ...] = ()

    def pack(self) -> bytes:
        """Payload."""
        sizes = (self.arrays, self.max_layers, self.max_units, self.max_rows, self.max_columns)
        writer = Writer().put("u8 u16 u16 u32 u32 u32", self.resistive, *sizes).put("u8", len(self.layers))
        return writer.put("u32 " * len(self.layers), *self.layers).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        resistive, arrays, layers = reader.flag(), reader.uint("u16", 1), reader.uint("u16", 1)
        units, rows, columns = (reader.uint("u32", 1) for _ in range(3))
        fixed = reader.uints("u32", reader.uint("u8"), 1)
        reader.end()
        return cls(resistive, arrays, layers, units, rows, columns, fixed)


@dataclass(frozen=True, slots=True)
class Converter:
    """One converter of CONVERTERS: `value = low + code * lsb`, `lsb = (high - low) / (2**bits - 1)`.

    Attributes:
        id: `ConverterId`.
        quantity: `Quantity`, the unit of `low` and `high`.
        bits: 1..32.
        ideal: No steps of its own; 32 bits only carry the number.
        low: Value of code 0.
        high: Value of the largest code.
    """

    id: int
    quantity: int
    bits: int
    ideal: bool
    low: float
    high: float

    @property
    def max_code(self) -> int:
        """Largest code."""
        return int(2**self.bits - 1)

    @property
    def lsb(self) -> float:
        """One code step."""
        return (self.high - self.low) / self.max_code


def pack_converters(converters: list[Converter]) -> bytes:
    """Payload of the CONVERTERS reply."""
    writer = Writer().put("u8", len(converters))
    for converter in converters:
        writer.put("u8 u8 u8 u8 f64 f64", *astuple(converter))
    return writer.done()


def parse_converters(payload: bytes) -> list[Converter]:
    """From the CONVERTERS reply; raises `MalformedError`."""
    reader = Reader(payload)
    found = []
    for _ in range(reader.uint("u8")):
        head = reader.uint("u8"), reader.uint("u8", 0, 1), reader.uint("u8", 1, 32), reader.flag()
        at = reader.offset
        low, high = reader.number(), reader.number()
        if not low < high:
            raise MalformedError(at, f"converter range {low} .. {high}, expected low < high")
        found.append(Converter(*head, low, high))
    reader.end()
    return found


def pack_parameters(parameters: dict[int, float]) -> bytes:
    """Payload of the PARAMETERS reply, by `Parameter`."""
    writer = Writer().put("u16", len(parameters))
    for number, value in parameters.items():
        writer.put("u16 f64", number, value)
    return writer.done()


def parse_parameters(payload: bytes) -> dict[int, float]:
    """From the PARAMETERS reply; ids this version does not know are kept. Raises `MalformedError`."""
    reader = Reader(payload)
    found = {reader.uint("u16"): reader.number() for _ in range(reader.uint("u16"))}
    reader.end()
    return found


_WHOLE, _MAY_BE_INFINITE = 4, (5, 7)


@dataclass(frozen=True, slots=True)
class LimitsRecord:
    """Eight limits (7.2); all positive, only energy and source voltage may be infinite."""

    max_drive_a: float
    max_read_v: float
    max_pulse_v: float
    max_pulse_s: float
    max_pulses_per_cell: float
    max_energy_per_cell_j: float
    max_temperature_k: float
    max_source_v: float

    def pack(self) -> bytes:
        """Payload of SET_LIMITS and of its reply."""
        return Writer().put("f64 " * 8, *self.values()).done()

    def values(self) -> tuple[float, ...]:
        """The eight, in the order of their numbers; `dataclasses.astuple` would copy each."""
        return _values(self)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        record = cls.read(reader)
        reader.end()
        return record

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """From the reader's place on."""
        values = []
        for number in range(8):
            at = reader.offset
            values.append(reader.number(infinite=number in _MAY_BE_INFINITE))
            if not values[-1] > 0:
                raise MalformedError(at, f"limit {number} is {values[-1]}, expected a positive number")
            if number == _WHOLE and not values[-1].is_integer():
                raise MalformedError(at, f"limit {number} is {values[-1]}, expected a whole number of pulses")
        return cls(*values)


_values: Callable[[LimitsRecord], tuple[float, ...]] = attrgetter(*(field.name for field in fields(LimitsRecord)))


@dataclass(frozen=True, slots=True)
class LimitsInfo:
    """Reply of LIMITS."""

    absolute: LimitsRecord
    active: LimitsRecord

    def pack(self) -> bytes:
        """Payload."""
        return self.absolute.pack() + self.active.pack()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        info = cls(LimitsRecord.read(reader), LimitsRecord.read(reader))
        reader.end()
        return info
