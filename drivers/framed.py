"""The serial protocol's dialect: verbs as transactions of the framed link."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.dialect import HEARTBEAT_S, MAY_BE_ON, SELF_TEST_S
from drivers.errors import ProtocolViolation
from drivers.link import ANSWER_S, MOST_REPLY, FramedLink
from drivers.portions import HEAD, Sizes, together
from drivers.reply_sizes import SNAPSHOT, ReplySizes
from firmware_specs.codes import DeviceFlag, Opcode, State
from firmware_specs.frame import MAX_FRAME
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Coincide,
    Configure,
    Configured,
    Converter,
    Currents,
    FabricInfo,
    Fault,
    FaultLog,
    FaultQuery,
    Identity,
    LimitsInfo,
    LimitsRecord,
    MalformedError,
    Measure,
    Product,
    ProductReply,
    Pulse,
    Pulsed,
    ReadCells,
    Region,
    SelfTest,
    Settle,
    SettleReply,
    Status,
    Update,
    Updated,
    WriteCells,
    Written,
    pack_array,
    pack_number,
    parse_converters,
    parse_number,
    parse_parameters,
    parse_topology,
)
from firmware_specs.topology import Topology

T = TypeVar("T")
FAULTS = 64
UNKNOWN = (MOST_REPLY, SNAPSHOT)
LINE_REPLY = 1024
"""Bytes of a reply of unknown length, as the wait on a slow line is reckoned: a longer one is asked for again."""
FAULT_BYTES = 1040
"""Of the longest entry of the fault log."""
DISARM_SHARE = 0.75
"""Of the time to switch off in: how much is spent on asking politely."""
SHORTEST_S = 0.5
"""What a new session gets, however late it is: on a busy host the clock runs while nobody works."""
CONFIRM_S = 2.0
"""What the question gets whether they are off, at least: the switching off is done, and who gives up here says wrongly
that they may be on."""


class Framed:
    """Verbs over a framed link.

    Args:
        link: The link; opened by `open`.
        timeout_s: Deadline of a transaction beyond what the device itself needs.
        byte_s: Time one byte takes on the line; 0 where it does not count.
    """

    sizes = Sizes(statistics=13, clipped=4, usage=12, volt=8, unheard=MAX_FRAME)

    def __init__(self, link: FramedLink, timeout_s: float = 5.0, byte_s: float = 0.0) -> None:
        self.address = link.address
        self.link = link
        self._timeout_s = timeout_s
        self.byte_s = byte_s
        self._replies = ReplySizes()

    @property
    def outputs_on(self) -> bool:
        """Outputs bit of the last frame."""
        return bool(self.link.flags & DeviceFlag.OUTPUTS_ON)

    @property
    def transactions(self) -> int:
        """Every transaction is one of the device's."""
        return self.link.counts.transactions

    def executed(self, status: Status) -> int:
        """The device says it with its status."""
        return status.transactions

    @property
    def max_request(self) -> int:
        """Longest request payload, bytes."""
        return self.link.synced.max_request if self.link.synced else 0

    @property
    def max_reply(self) -> int:
        """Longest reply payload, bytes."""
        return self.link.synced.max_reply if self.link.synced else 0

    def open(self, timeout_s: float) -> None:
        """New session; outputs go off."""
        self.link.open(timeout_s)

    def safe(self, timeout_s: float) -> None:
        """DISARM; where even that is not confirmed, a new session turns the outputs off. Flags and STATUS say so."""
        deadline = time.monotonic() + timeout_s
        try:
            _nothing(self.link.transact(Opcode.DISARM, b"", timeout_s * DISARM_SHARE, timeout_s / 8))
            self._see_off(max(deadline, time.monotonic() + CONFIRM_S))
        except Exception:
            self.link.open(max(SHORTEST_S, deadline - timeout_s / 8 - time.monotonic()))
            self._see_off(max(deadline, time.monotonic() + CONFIRM_S))

    def identify(self) -> Identity:
        """Who it is."""
        return self._ask(Opcode.IDENTIFY, b"", Identity.parse)

    def fabric(self) -> FabricInfo:
        """What can be placed."""
        return self._ask(Opcode.FABRIC, b"", FabricInfo.parse)

    def converters(self) -> list[Converter]:
        """Its converters."""
        found = self._ask(Opcode.CONVERTERS, b"", parse_converters)
        self._replies.converters = {converter.id: converter for converter in found}
        return found

    def parameters(self) -> dict[int, float]:
        """Its numbers."""
        self._replies.parameters = found = self._ask(Opcode.PARAMETERS, b"", parse_parameters)
        return found

    def limits(self) -> LimitsInfo:
        """Absolute and active limits."""
        return self._ask(Opcode.LIMITS, b"", LimitsInfo.parse)

    def set_limits(self, record: LimitsRecord) -> LimitsRecord:
        """Sets the active limits."""
        return self._ask(Opcode.SET_LIMITS, record.pack(), LimitsRecord.parse)

    def status(self) -> Status:
        """State, trip, watchdog, counters."""
        return self._ask(Opcode.STATUS, b"", Status.parse)

    def fault_log(self) -> FaultLog:
        """The newest entries; the device numbers them from its first power-on."""
        total = self._ask(Opcode.FAULT_LOG, FaultQuery(0, 0).pack(), FaultLog.parse).total
        first, at_once = max(0, total - FAULTS), min(FAULTS, max(1, (self.max_reply - HEAD) // FAULT_BYTES))
        found: list[Fault] = []
        for number in range(first, total, at_once):
            query = FaultQuery(number, min(at_once, total - number))
            found += self._ask(Opcode.FAULT_LOG, query.pack(), FaultLog.parse).entries
        return FaultLog(total, tuple(found))

    def clear(self) -> None:
        """Leaves a trip."""
        self._do(Opcode.CLEAR)

    def self_test(self) -> SelfTest:
        """Lets the device test itself."""
        return self._ask(Opcode.SELF_TEST, b"", SelfTest.parse, SELF_TEST_S)

    def reset(self) -> None:
        """Power-on state, and a new session."""
        self._do(Opcode.RESET)
        self.link.alive.watched(0.0)
        self.link.open(self._timeout_s)

    def heartbeat(self) -> None:
        """Restarts the watchdog; gives up soon, since switching off waits for it."""
        self._parsed(
            Opcode.HEARTBEAT, _nothing, self.link.transact(Opcode.HEARTBEAT, b"", HEARTBEAT_S, HEARTBEAT_S / 5)
        )

    def set_watchdog(self, seconds: float) -> float:
        """Sets the watchdog; returns the delay in force."""
        found_s = self._ask(Opcode.WATCHDOG, pack_number(seconds), parse_number)
        self.link.alive.watched(found_s)
        return found_s

    def arm(self) -> float:
        """Outputs on; returns the watchdog in force."""
        return self._ask(Opcode.ARM, b"", parse_number)

    def configure(self, array: int, topology: Topology) -> tuple[tuple[int, int], ...]:
        """Places a block; returns rows and columns of each coupling."""
        cells = self._ask(Opcode.CONFIGURE, Configure(array, topology).pack(), Configured.parse).cells
        self._replies.topologies[array] = topology
        return cells

    def topology(self, array: int) -> Topology:
        """What an array has."""
        return self._ask(Opcode.TOPOLOGY, pack_array(array), parse_topology)

    def write_cells(self, request: WriteCells, seconds: float) -> Written:
        """One programming transaction."""
        return self._ask(Opcode.WRITE_CELLS, request.pack(), Written.parse, seconds)

    def read_cells(self, request: ReadCells, seconds: float) -> CellCodes:
        """Conductance codes of a region."""
        return self._ask(Opcode.READ_CELLS, request.pack(), CellCodes.parse, seconds, self._replies.read_cells(request))

    def pulse(self, request: Pulse, seconds: float) -> Pulsed:
        """Programming pulses."""
        return self._ask(Opcode.PULSE, request.pack(), Pulsed.parse, seconds)

    def coincide(self, request: Coincide, seconds: float) -> Pulsed:
        """Pulses on rows and columns."""
        return self._ask(Opcode.COINCIDE, request.pack(), Pulsed.parse, seconds)

    def measure(self, request: Measure, seconds: float) -> Currents:
        """Cell currents."""
        return self._ask(Opcode.MEASURE, request.pack(), Currents.parse, seconds, self._replies.measure(request))

    def usage(self, region: Region) -> CellUsage:
        """Pulses and joules of a region."""
        return self._ask(Opcode.USAGE, region.pack(), CellUsage.parse, 0.0, self._replies.usage(region))

    def settle(self, requests: Sequence[Settle], seconds: Sequence[float]) -> list[SettleReply]:
        """Settles, sent ahead of their replies."""
        packed, sizes = zip(*(((Opcode.SETTLE, r.pack()), self._replies.settle(r)) for r in requests), strict=True)
        return [self._parsed(Opcode.SETTLE, SettleReply.parse, reply) for reply in self._all(packed, seconds, sizes)]

    def product(self, requests: Sequence[Product], seconds: Sequence[float]) -> list[ProductReply]:
        """Products, sent ahead of their replies."""
        packed, sizes = zip(*(((Opcode.PRODUCT, r.pack()), self._replies.product(r)) for r in requests), strict=True)
        return [self._parsed(Opcode.PRODUCT, ProductReply.parse, reply) for reply in self._all(packed, seconds, sizes)]

    def update(self, request: Update, seconds: float) -> Updated:
        """Cells move by the contrast of phases."""
        return self._ask(Opcode.UPDATE, request.pack(), Updated.parse, seconds)

    def temperature(self) -> float:
        """Kelvin."""
        return self._ask(Opcode.TEMPERATURE, b"", parse_number)

    def set_temperature(self, kelvin: float) -> float:
        """Sets the temperature; returns what is set."""
        return self._ask(Opcode.SET_TEMPERATURE, pack_number(kelvin), parse_number)

    def clock(self) -> float:
        """Seconds on an emulator's clock."""
        return self._ask(Opcode.CLOCK, b"", parse_number)

    def wait(self, seconds: float) -> float:
        """Moves an emulator's clock."""
        return self._ask(Opcode.WAIT, pack_number(seconds), parse_number)

    def snapshot(self) -> bytes:
        """Whole state of an emulator."""
        return self._all([(Opcode.SNAPSHOT, b"")], (0.0,), [SNAPSHOT])[0]

    def restore(self, snapshot: bytes) -> None:
        """Puts an emulator back."""
        self._do(Opcode.RESTORE, snapshot)

    def close(self) -> None:
        """Closes the wire."""
        self.link.close()

    def _see_off(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        reply = self.link.transact(Opcode.STATUS, b"", left_s, SHORTEST_S)
        status = self._parsed(Opcode.STATUS, Status.parse, reply)
        if status.state is State.ARMED or self.outputs_on:
            text = f"after DISARM the device says: state {status.state.name}, outputs {'on' * self.outputs_on or 'off'}"
            raise ProtocolViolation(text, device=self.address, todo=MAY_BE_ON)

    def _do(self, opcode: Opcode, payload: bytes = b"") -> None:
        self._ask(opcode, payload, _nothing)

    def _ask(
        self, opcode: Opcode, payload: bytes, parse: Callable[[bytes], T], seconds: float = 0.0, size: int = MOST_REPLY
    ) -> T:
        return self._parsed(opcode, parse, self._all([(opcode, payload)], (seconds,), [size])[0])

    def _all(
        self, requests: Sequence[tuple[Opcode, bytes]], seconds: Sequence[float], sizes: Sequence[int]
    ) -> list[bytes]:
        """Transactions, given the seconds the device needs for each and the most bytes its reply has."""
        each_s = [
            2.0 * (stated_s + self.byte_s * (HEAD + len(payload) + (LINE_REPLY if size in UNKNOWN else size)))
            for (_, payload), stated_s, size in zip(requests, seconds, sizes, strict=True)
        ]
        ahead = together(max(each_s) / 2.0)
        answer_s = ANSWER_S + sum(sorted(each_s)[-ahead:])  # it waits for what is under way together, and no more
        timeout_s = self._timeout_s + ANSWER_S + sum(each_s)
        return self.link.transact_all(requests, timeout_s, answer_s, max(sizes), ahead)

    def _parsed(self, opcode: Opcode, parse: Callable[[bytes], T], reply: bytes) -> T:
        try:
            return parse(reply)
        except MalformedError as error:
            text = f"the reply to {opcode.name} does not parse: {error}"
            raise ProtocolViolation(text, device=self.address, last=reply) from error


def _nothing(payload: bytes) -> None:
    if payload:
        raise MalformedError(0, f"{len(payload)} bytes where none belong")
