"""STATUS, FAULT_LOG, SELF_TEST, and verbs that carry one number (PROTOCOL.md 7.3, 7.4 and 7.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from firmware_specs.codes import State, Trip
from firmware_specs.messages.packing import Reader, Writer

_LAST_STATE, _LAST_TRIP = max(State), max(Trip)


def pack_number(value: float) -> bytes:
    """One `f64`: WATCHDOG, TEMPERATURE, SET_TEMPERATURE, CLOCK, WAIT and the reply of ARM."""
    return Writer().put("f64", value).done()


def parse_number(payload: bytes) -> float:
    """One finite `f64`; raises `MalformedError`."""
    reader = Reader(payload)
    value = reader.number()
    reader.end()
    return value


@dataclass(frozen=True, slots=True)
class Status:
    """Reply of STATUS.

    Attributes:
        state: SAFE, ARMED or TRIPPED.
        trip: Why it tripped.
        watchdog_s: Watchdog in force; 0: not set.
        remaining_s: Until it trips; 0 unless ARMED.
        uptime_s: Since power-on.
        transactions: Executed since power-on.
        damaged: Damaged frames since power-on.
        faults: Entries in the fault log.
        owner: Who has the session or the armed link.
    """

    state: State
    trip: Trip
    watchdog_s: float
    remaining_s: float
    uptime_s: float
    transactions: int
    damaged: int
    faults: int
    owner: str

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put(
            "u8 u8 f64 f64 f64", self.state, self.trip, self.watchdog_s, self.remaining_s, self.uptime_s
        )
        return writer.put("u64 u32 u32", self.transactions, self.damaged, self.faults).text(self.owner).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        state, trip = State(reader.uint("u8", 0, _LAST_STATE)), Trip(reader.uint("u8", 0, _LAST_TRIP))
        watchdog_s, remaining_s, uptime_s = reader.number(), reader.number(), reader.number()
        transactions, damaged, faults = reader.uint("u64"), reader.uint("u32"), reader.uint("u32")
        owner = reader.text()
        reader.end()
        return cls(state, trip, watchdog_s, remaining_s, uptime_s, transactions, damaged, faults, owner)


@dataclass(frozen=True, slots=True)
class FaultQuery:
    """Request of FAULT_LOG: at most `most` entries from number `first` on."""

    first: int = 0
    most: int = 64

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u32 u16", self.first, self.most).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        query = cls(reader.uint("u32"), reader.uint("u16"))
        reader.end()
        return query


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the fault log; `code` is an `ErrorCode`, or 0x100 + `Trip`."""

    number: int
    uptime_s: float
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class FaultLog:
    """Reply of FAULT_LOG; `total` entries were ever written."""

    total: int
    entries: tuple[Fault, ...]

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u32 u16", self.total, len(self.entries))
        for entry in self.entries:
            writer.put("u32 f64 u16", entry.number, entry.uptime_s, entry.code).text(entry.text)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        total, entries = reader.uint("u32"), []
        for _ in range(reader.uint("u16")):
            entries.append(Fault(reader.uint("u32"), reader.number(), reader.uint("u16"), reader.text()))
        reader.end()
        return cls(total, tuple(entries))


@dataclass(frozen=True, slots=True)
class SelfTestItem:
    """One check of the self test."""

    passed: bool
    value: float
    name: str


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Reply of SELF_TEST."""

    passed: bool
    items: tuple[SelfTestItem, ...]

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u8 u16", self.passed, len(self.items))
        for item in self.items:
            writer.put("u8 f64", item.passed, item.value).text(item.name)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        passed, count = reader.flag(), reader.uint("u16")
        items = tuple(SelfTestItem(reader.flag(), reader.number(), reader.text()) for _ in range(count))
        reader.end()
        return cls(passed, items)
