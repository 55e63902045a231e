"""The dialogue as a person reads it: seconds, direction, verb, fields, hex; a line a frame, or a message of SCPI."""

from __future__ import annotations

from collections.abc import Callable
from io import TextIOBase
from time import monotonic

from drivers.recording import FlightRecorder, Way
from firmware_specs import messages
from firmware_specs.codes import Kind, Opcode
from firmware_specs.frame import Damaged, Decoder, Frame
from firmware_specs.messages import MalformedError

HEX = 48
"""Bytes shown of a payload."""
FIELDS = 160
"""Characters shown of its fields."""
_Parse = Callable[[bytes], object]
_LINK: dict[int, _Parse] = {
    Kind.SYNC: messages.Sync.parse, Kind.SYNCED: messages.Synced.parse, Kind.NAK: messages.Nak.parse,
    Kind.CREDIT: messages.Credit.parse, Kind.ERROR: messages.Refusal.parse,
}  # fmt: skip
_REQUESTS: dict[int, _Parse] = {
    Opcode.SET_LIMITS: messages.LimitsRecord.parse, Opcode.FAULT_LOG: messages.FaultQuery.parse,
    Opcode.WATCHDOG: messages.parse_number, Opcode.CONFIGURE: messages.Configure.parse,
    Opcode.TOPOLOGY: messages.parse_array, Opcode.WRITE_CELLS: messages.WriteCells.parse,
    Opcode.READ_CELLS: messages.ReadCells.parse, Opcode.PULSE: messages.Pulse.parse,
    Opcode.MEASURE: messages.Measure.parse, Opcode.USAGE: messages.Region.parse, Opcode.SETTLE: messages.Settle.parse,
    Opcode.PRODUCT: messages.Product.parse, Opcode.SET_TEMPERATURE: messages.parse_number,
    Opcode.WAIT: messages.parse_number, Opcode.UPDATE: messages.Update.parse,
    Opcode.COINCIDE: messages.Coincide.parse,
}  # fmt: skip
_REPLIES: dict[int, _Parse] = {
    Opcode.IDENTIFY: messages.Identity.parse, Opcode.FABRIC: messages.FabricInfo.parse,
    Opcode.CONVERTERS: messages.parse_converters, Opcode.PARAMETERS: messages.parse_parameters,
    Opcode.LIMITS: messages.LimitsInfo.parse, Opcode.SET_LIMITS: messages.LimitsRecord.parse,
    Opcode.STATUS: messages.Status.parse, Opcode.FAULT_LOG: messages.FaultLog.parse,
    Opcode.SELF_TEST: messages.SelfTest.parse, Opcode.WATCHDOG: messages.parse_number,
    Opcode.ARM: messages.parse_number, Opcode.CONFIGURE: messages.Configured.parse,
    Opcode.TOPOLOGY: messages.parse_topology, Opcode.WRITE_CELLS: messages.Written.parse,
    Opcode.READ_CELLS: messages.CellCodes.parse, Opcode.PULSE: messages.Pulsed.parse,
    Opcode.MEASURE: messages.Currents.parse, Opcode.USAGE: messages.CellUsage.parse,
    Opcode.SETTLE: messages.SettleReply.parse, Opcode.PRODUCT: messages.ProductReply.parse,
    Opcode.TEMPERATURE: messages.parse_number, Opcode.SET_TEMPERATURE: messages.parse_number,
    Opcode.CLOCK: messages.parse_number, Opcode.WAIT: messages.parse_number, Opcode.UPDATE: messages.Updated.parse,
    Opcode.COINCIDE: messages.Pulsed.parse,
}  # fmt: skip


class Trace(FlightRecorder):
    """A flight recorder that writes what goes over the wire as it goes.

    Args:
        out: Open text file.
        frames: Is it the serial protocol? Else messages of SCPI.
    """

    def __init__(self, out: TextIOBase, *, frames: bool = True) -> None:
        super().__init__()
        self._out, self._frames = out, frames
        self._began = monotonic()
        self._decoders: dict[str, Decoder] = {">": Decoder(), "<": Decoder()}

    def note(self, way: Way, data: bytes) -> None:
        """Adds one entry, and its lines."""
        super().note(way, data)
        if way == "!" or not self._frames:
            self.say(way, _shown(data))
            return
        for item in self._decoders[way].feed(data):
            self.say(way, f"DAMAGED {item.reason} | {item.head.hex()}" if isinstance(item, Damaged) else line(item))

    def say(self, way: str, words: str) -> None:
        """One line, now; `#` begins what is no traffic, like the name of a check."""
        self._out.write(f"{monotonic() - self._began:10.6f} {way} {words}\n")


def line(frame: Frame) -> str:
    """Kind, verb, numbers, fields and hex of a frame."""
    kind = Kind(frame.kind).name if frame.kind in list(Kind) else f"kind {frame.kind}"
    verb = Opcode(frame.opcode).name if frame.opcode in list(Opcode) else f"0x{frame.opcode:02x}"
    head = kind if frame.kind in (Kind.SYNC, Kind.SYNCED, Kind.NAK, Kind.CREDIT) else f"{kind} {verb}"
    part = f" part {frame.part}/{frame.parts}" if frame.parts > 1 else ""
    numbers = f"session {frame.session:08x} sequence {frame.sequence}{part} flags {frame.flags}"
    hexed = frame.payload[:HEX].hex() + ("..." if len(frame.payload) > HEX else "")
    return f"{head} {numbers} {len(frame.payload)} bytes{_fields(frame)} | {hexed}"


def _fields(frame: Frame) -> str:
    parse = _LINK.get(frame.kind) or (_REQUESTS if frame.kind == Kind.REQUEST else _REPLIES).get(frame.opcode)
    if parse is None or frame.parts > 1 or not frame.payload:
        return ""
    try:
        words = " ".join(repr(parse(frame.payload)).split())
    except MalformedError as error:
        words = f"malformed: {error}"
    return " " + (words if len(words) <= FIELDS else words[:FIELDS] + "...")


def _shown(data: bytes) -> str:
    text = data[: 4 * HEX].decode("ascii", "backslashreplace")
    return ascii(text)[1:-1] + ("..." if len(data) > 4 * HEX else "")
