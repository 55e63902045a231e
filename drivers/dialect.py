"""The verbs of a crossbar device in converter codes, whichever protocol carries them.

`Framed` (serial protocol) and `Scpi` (instrument) implement it; `Crossbar` adds SI units, limits and safety on top.
Values are those of `firmware_specs.messages`; both protocols describe the same device.
"""

# ruff: noqa: D102 - the verbs and their units are those of PROTOCOL.md, section 7

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers.portions import Sizes
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Coincide,
    Converter,
    Currents,
    FabricInfo,
    FaultLog,
    Identity,
    LimitsInfo,
    LimitsRecord,
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
)
from firmware_specs.topology import Topology

SELF_TEST_S = 6.0
"""How long a self test may take."""
MAY_BE_ON = "Outputs may be on: switch the device off and look at it"
HEARTBEAT_S = 0.75
"""How long a heartbeat is waited for: switching off may have to wait for it."""


class Dialect(Protocol):
    """Every method is one transaction and raises the errors of `drivers.errors`; settles and products are one each.

    `seconds` is what the device states it needs for a request.

    Attributes:
        address: The device, as error messages name it.
        outputs_on: What the device last said of its outputs; None where it does not say with every answer.
        max_request: Longest request payload the device takes, bytes.
        max_reply: Longest reply payload the device sends, bytes.
        sizes: Bytes of what differs between protocols.
    """

    address: str
    sizes: Sizes
    byte_s: float

    @property
    def outputs_on(self) -> bool | None: ...
    @property
    def transactions(self) -> int | None:
        """Transactions of this session so far that the device counts; None where that is not known."""

    def executed(self, status: Status) -> int | None:
        """Of those, all that it had executed since power-on when it said this status, as a session begins."""

    @property
    def max_request(self) -> int: ...
    @property
    def max_reply(self) -> int: ...

    def open(self, timeout_s: float) -> None:
        """Opens a session; the device's outputs are off afterwards."""

    def safe(self, timeout_s: float) -> None:
        """Outputs off, whatever state the link is in: re-synchronizes, disarms, waits for the confirmation."""

    def identify(self) -> Identity: ...
    def fabric(self) -> FabricInfo: ...
    def converters(self) -> list[Converter]: ...
    def parameters(self) -> dict[int, float]: ...
    def limits(self) -> LimitsInfo: ...
    def set_limits(self, record: LimitsRecord) -> LimitsRecord: ...
    def status(self) -> Status: ...
    def fault_log(self) -> FaultLog: ...
    def clear(self) -> None: ...
    def self_test(self) -> SelfTest: ...
    def reset(self) -> None: ...
    def heartbeat(self) -> None: ...
    def set_watchdog(self, seconds: float) -> float: ...
    def arm(self) -> float: ...
    def configure(self, array: int, topology: Topology) -> tuple[tuple[int, int], ...]: ...
    def topology(self, array: int) -> Topology: ...
    def write_cells(self, request: WriteCells, seconds: float) -> Written: ...
    def read_cells(self, request: ReadCells, seconds: float) -> CellCodes: ...
    def pulse(self, request: Pulse, seconds: float) -> Pulsed: ...
    def coincide(self, request: Coincide, seconds: float) -> Pulsed: ...
    def measure(self, request: Measure, seconds: float) -> Currents: ...
    def usage(self, region: Region) -> CellUsage: ...
    def settle(self, requests: Sequence[Settle], seconds: Sequence[float]) -> list[SettleReply]: ...
    def product(self, requests: Sequence[Product], seconds: Sequence[float]) -> list[ProductReply]: ...
    def update(self, request: Update, seconds: float) -> Updated: ...
    def temperature(self) -> float: ...
    def set_temperature(self, kelvin: float) -> float: ...
    def clock(self) -> float: ...
    def wait(self, seconds: float) -> float: ...
    def snapshot(self) -> bytes: ...
    def restore(self, snapshot: bytes) -> None: ...
    def close(self) -> None: ...
