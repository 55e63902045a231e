"""The verbs of PROTOCOL.md as payloads, spelled in SCPI by the dialect: what checks of both suites share.

The dialect puts the errors behind every message, so that a refusal comes with the message that caused it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from drivers.errors import Busy, DeviceError, DeviceFault, LinkLost, LinkTimeout, ProtocolViolation
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.transport import Transport
from firmware_specs.codes import ErrorCode, Kind, Opcode
from firmware_specs.messages import (
    Coincide,
    Configure,
    Configured,
    FaultLog,
    FaultQuery,
    LimitsRecord,
    Measure,
    Product,
    Pulse,
    ReadCells,
    Refusal,
    Region,
    Settle,
    Update,
    WriteCells,
    pack_converters,
    pack_number,
    pack_parameters,
    pack_topology,
    parse_array,
    parse_number,
)
from firmware_specs.scpi import BY_CODE
from hil.conformance.conversation import MAX_HEARD, Answer, Failed, NoSession, Told, not_told
from hil.conformance.diagnosis import of_instrument

QUIET_S = 0.02
MAX_REQUEST = 1 << 20
OFF_S = 5.0
LATE_S = 0.1
"""A wait that ends so much after its deadline was the host's."""
Verb = Callable[[Scpi, bytes], bytes]


class ScpiVerbs:
    """Verbs over an instrument's wire.

    Args:
        transport: The wire; other messages may go over it in between.
        patience_s: How long to wait for one answer.
    """

    has_details = False

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport, self._patience_s = transport, patience_s
        self._dialect = Scpi(ScpiLink(transport), patience_s)
        self.told: Told = not_told

    @property
    def max_request(self) -> int:
        """Longest request payload that checks send, bytes."""
        return min(self._dialect.max_request, MAX_REQUEST)

    @property
    def max_reply(self) -> int:
        """Longest reply payload, bytes."""
        return self._dialect.max_reply

    def ask(self, opcode: Opcode, payload: bytes = b"") -> bytes:
        """The payload of a reply; a refusal fails the check."""
        try:
            return self._run(opcode, payload)
        except (DeviceFault, Busy) as fault:
            raise Failed(f"{opcode.name} was refused: {fault}") from fault

    def request(self, opcode: int, payload: bytes = b"") -> Answer:
        """A reply, or a refusal."""
        try:
            return Answer(Kind.REPLY, opcode, 0, self._run(Opcode(opcode), payload))
        except DeviceFault as fault:
            return Answer(Kind.ERROR, opcode, 0, Refusal(_code(fault), 0, str(fault)).pack())

    def refused(self, opcode: int, payload: bytes, *codes: ErrorCode) -> Refusal:
        """Demands that a request is refused with one of these codes, by name or by the SCPI code they share."""
        wanted = " or ".join(code.name for code in codes)
        try:
            self._run(Opcode(opcode), payload)
        except DeviceFault as fault:
            if fault.code not in codes and fault.code not in {BY_CODE[code] for code in codes}:
                raise Failed(f"{Opcode(opcode).name} was refused with {fault}, expected {wanted}") from fault
            return Refusal(_code(fault), 0, str(fault))
        raise Failed(f"{Opcode(opcode).name} was accepted, expected {wanted}")

    def drain(self) -> None:
        """Throws away what an earlier check left on the wire."""
        self._transport.drain(QUIET_S, time.monotonic() + self._patience_s)

    def sync(self) -> object:
        """Clears the device, proves with a nonce that the link is clean, outputs off, byte order SWAPped.

        A host that stood still while it waited, and now gets an answer, asks once more: that was not the device.
        """
        began = time.monotonic()
        try:
            self._open()
        except (LinkTimeout, LinkLost) as error:
            stood_still = time.monotonic() - began > self._patience_s + LATE_S
            if found := self._diagnosed():
                words = f"no answer after a device clear: {found}"
                if isinstance(error, LinkLost):  # may come back when it is opened again
                    raise LinkLost(words, device=self._transport.address) from error
                raise NoSession(words) from error
            if not stood_still:
                raise
            self._open()
        return None

    def _open(self) -> None:
        try:
            self._dialect.open(self._patience_s)
            self._dialect.parameters()  # the widths of its codes
        except ProtocolViolation as error:
            raise Failed(f"the link is not clean after a device clear: {error}") from error

    def _diagnosed(self) -> str:
        """Asks for a nonce once more and says what came; nothing where the nonce did, or the link is broken."""
        proof, heard = f'"{secrets.randbelow(1 << 31)}"'.encode(), b""
        message, until = b"\n*CLS;:SYST:ECHO? " + proof + b"\n", time.monotonic() + self._patience_s
        try:
            self.drain()
            self._transport.write(message, until)
            while proof not in heard and len(heard) < MAX_HEARD and time.monotonic() < until:
                heard += self._transport.read_some(until)
        except LinkTimeout:
            pass
        except DeviceError:
            return ""
        return "" if proof in [line.strip() for line in heard.splitlines()] else of_instrument(message, heard, proof)

    def _run(self, opcode: Opcode, payload: bytes) -> bytes:
        if opcode not in VERBS:
            raise Failed(f"{opcode.name} has no command in this suite")
        self.told(opcode, payload)
        try:
            return VERBS[opcode](self._dialect, payload)
        except LinkTimeout as error:
            raise Failed(f"{opcode.name} was not answered: {error}") from error
        except (ProtocolViolation, ValueError) as error:
            raise Failed(f"{opcode.name}: {error}") from error


def _code(fault: DeviceFault) -> ErrorCode:
    """The name a refusal carries, or INTERNAL where its words have none."""
    return ErrorCode(fault.code) if fault.code in set(ErrorCode) else ErrorCode.INTERNAL


def _configure(device: Scpi, payload: bytes) -> bytes:
    request = Configure.parse(payload)
    return Configured(device.configure(request.array, request.topology)).pack()


def _fault_log(device: Scpi, payload: bytes) -> bytes:
    """The dialect takes the whole log; from a number on it is what the instrument answers for that."""
    log, first = device.fault_log(), FaultQuery.parse(payload).first
    return FaultLog(log.total, tuple(entry for entry in log.entries if entry.number >= first)).pack()


def _nothing(act: Callable[[Scpi], object]) -> Verb:
    def run(device: Scpi, payload: bytes) -> bytes:
        act(device)
        return b""

    return run


VERBS: dict[Opcode, Verb] = {
    Opcode.IDENTIFY: lambda d, p: d.identify().pack(),
    Opcode.FABRIC: lambda d, p: d.fabric().pack(),
    Opcode.CONVERTERS: lambda d, p: pack_converters(d.converters()),
    Opcode.PARAMETERS: lambda d, p: pack_parameters(d.parameters()),
    Opcode.LIMITS: lambda d, p: d.limits().pack(),
    Opcode.SET_LIMITS: lambda d, p: d.set_limits(LimitsRecord.parse(p)).pack(),
    Opcode.STATUS: lambda d, p: d.status().pack(),
    Opcode.FAULT_LOG: _fault_log,
    Opcode.CLEAR: _nothing(Scpi.clear),
    Opcode.SELF_TEST: lambda d, p: d.self_test().pack(),
    Opcode.RESET: _nothing(Scpi.reset),
    Opcode.HEARTBEAT: _nothing(Scpi.heartbeat),
    Opcode.WATCHDOG: lambda d, p: pack_number(d.set_watchdog(parse_number(p))),
    Opcode.ARM: _nothing(Scpi.arm),
    Opcode.DISARM: _nothing(lambda device: device.safe(OFF_S)),
    Opcode.CONFIGURE: _configure,
    Opcode.TOPOLOGY: lambda d, p: pack_topology(d.topology(parse_array(p))),
    Opcode.WRITE_CELLS: lambda d, p: d.write_cells(WriteCells.parse(p), 0.0).pack(),
    Opcode.READ_CELLS: lambda d, p: d.read_cells(ReadCells.parse(p), 0.0).pack(),
    Opcode.PULSE: lambda d, p: d.pulse(Pulse.parse(p), 0.0).pack(),
    Opcode.COINCIDE: lambda d, p: d.coincide(Coincide.parse(p), 0.0).pack(),
    Opcode.MEASURE: lambda d, p: d.measure(Measure.parse(p), 0.0).pack(),
    Opcode.USAGE: lambda d, p: d.usage(Region.parse(p)).pack(),
    Opcode.SETTLE: lambda d, p: d.settle([Settle.parse(p)], (0.0,))[0].pack(),
    Opcode.PRODUCT: lambda d, p: d.product([Product.parse(p)], (0.0,))[0].pack(),
    Opcode.UPDATE: lambda d, p: d.update(Update.parse(p), 0.0).pack(),
    Opcode.TEMPERATURE: lambda d, p: pack_number(d.temperature()),
    Opcode.CLOCK: lambda d, p: pack_number(d.clock()),
}
