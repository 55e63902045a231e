"""A board written from PROTOCOL.md alone, with framing of its own: what it says can be replaced field by field.

Nothing of the codec under test is used here. A reply is a list of fields; an `Evil` names one of them and what comes
instead of it.
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

REQUEST, REPLY, ERROR, CREDIT, NAK, SYNC, SYNCED = 1, 2, 3, 4, 5, 6, 7
NAMES = {
    0x01: "IDENTIFY", 0x02: "FABRIC", 0x03: "CONVERTERS", 0x04: "PARAMETERS", 0x05: "LIMITS", 0x06: "SET_LIMITS",
    0x07: "STATUS", 0x08: "FAULT_LOG", 0x09: "CLEAR", 0x0A: "SELF_TEST", 0x0B: "RESET", 0x0C: "ECHO", 0x0D: "HEARTBEAT",
    0x10: "WATCHDOG", 0x11: "ARM", 0x12: "DISARM", 0x20: "CONFIGURE", 0x21: "TOPOLOGY", 0x30: "WRITE_CELLS",
    0x31: "READ_CELLS", 0x32: "PULSE", 0x33: "MEASURE", 0x34: "USAGE", 0x40: "SETTLE", 0x41: "PRODUCT", 0x42: "UPDATE",
    0x35: "COINCIDE", 0x50: "TEMPERATURE",
}  # fmt: skip
CAPABILITIES = sum(1 << bit for bit in (0, 1, 2, 7, 10, 11, 14, 15, 16, 17, 18, 21))
LAYERS = (4, 3)
CONVERTERS = ((1, 1, 8, 0, -1e-3, 1e-3), (2, 1, 8, 0, -1e-3, 1e-3), (3, 0, 8, 0, 0.0, 1.0), (4, 0, 8, 0, -1.0, 1.0),
              (5, 0, 8, 0, -0.2, 0.2), (6, 1, 8, 0, -1e-3, 1e-3))  # fmt: skip
PARAMETERS = ((1, 0.5), (2, 1e4), (3, -1.0), (4, 1.0), (5, 1e-6), (6, 1e-4), (7, 8.0), (8, 1e-6), (9, 0.0), (10, 0.0),
              (11, 64.0), (12, 1e-3))  # fmt: skip
LIMITS = (2e-3, 0.3, 2.0, 1e-3, 1e6, 1.0, 400.0, 1.0)


class Field(NamedTuple):
    """One field of a reply: its type as in PROTOCOL.md (or `text`, `bytes`), and what a sound board says."""

    name: str
    kind: str
    value: object


class Evil(NamedTuple):
    """`how` replaces field `number` of every reply of a verb."""

    verb: str
    number: int
    how: str


CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "f32": "f", "f64": "d"}
NUMBERS = {"0": 0, "1": 1, "-1": -1, "2^31": 2**31, "2^31-1": 2**31 - 1, "2^63": 2**63, "2^32-1": 2**32 - 1,
           "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "1e300": 1e300, "-1e300": -1e300,
           "5e-324": 5e-324, "9.91e37": 9.91e37}  # fmt: skip
SHAPES = ("missing", "twice", "3 bytes more", "end here", "nothing", "4000 bytes more")
HOWS = (*NUMBERS, *SHAPES)
TEXTS = {"0": b"", "1": b"\x1b[2J\x1b]0;x\x07", "-1": b"\xff\xfe\xfd", "2^31": b"[/x] [bold]", "nan": b"\x00" * 9,
         "inf": "\u202e\u2028x".encode(), "-inf": b"a" * 1024, "1e300": b"\r\nhil: all is well\r\n"}  # fmt: skip


def packed(kind, value):
    if kind == "bytes":
        return bytes(value)
    if kind == "text":
        data = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<H", len(data)) + data
    if kind in ("f32", "f64"):
        try:
            return struct.pack("<" + CODES[kind], value)
        except OverflowError:
            return struct.pack("<" + CODES[kind], float("inf"))
    size = struct.calcsize(CODES[kind])
    whole = 0 if value != value else int(max(min(value, 2.0**200), -(2.0**200)))
    return (whole % (1 << 8 * size)).to_bytes(size, "little")


def spoilt(fields, evil):
    """A payload with one field replaced."""
    parts = [packed(f.kind, f.value) for f in fields]
    number, how = evil.number, evil.how
    if how == "missing":
        del parts[number]
    elif how == "twice":
        parts.insert(number, parts[number])
    elif how == "3 bytes more":
        parts.insert(number, b"\x07\x00\xff")
    elif how == "end here":
        parts = parts[:number]
    elif how == "nothing":
        parts = []
    elif how == "4000 bytes more":
        parts.append(b"\x01" * 4000)
    elif fields[number].kind == "text":
        parts[number] = packed("text", TEXTS.get(how, b"x" * 1000))
    elif fields[number].kind == "bytes":
        pattern = struct.pack("<d", NUMBERS[how])
        size = len(parts[number])
        parts[number] = (pattern * (size // 8 + 1))[:size]
    else:
        parts[number] = packed(fields[number].kind, NUMBERS[how])
    return b"".join(parts)


def stuffed(body):
    """COBS, by the algorithm of 2.3."""
    out, piece, full = bytearray(), bytearray(), False
    for byte in body:
        full = False
        if byte == 0:
            out += bytes([len(piece) + 1]) + piece
            piece.clear()
            continue
        piece.append(byte)
        if len(piece) == 254:
            out += b"\xff" + piece
            piece.clear()
            full = True
    return bytes(out) if full else bytes(out + bytes([len(piece) + 1]) + piece)


def unstuffed(data):
    out, at = bytearray(), 0
    while at < len(data):
        run = data[at]
        out += data[at + 1 : at + run]
        at += run
        if run < 255 and at < len(data):
            out.append(0)
    return bytes(out)


@dataclass
class PlainBoard:
    """Sound but for one `evil`. `feed` takes and gives bytes.

    Attributes:
        fields_of: After a dialogue: the fields of every verb that was answered.
        ignores_off: DISARM and new sessions leave the outputs on, and flags and STATUS say so.
        off_says: Payload of the reply to DISARM.
        watchdog_says: What WATCHDOG and ARM answer instead of what was asked.
    """

    evil: Evil | None = None
    header: dict = field(default_factory=dict)
    ignores_off: bool = False
    off_says: bytes = b""
    watchdog_says: float | None = None
    outputs_on: bool = False
    silent_verbs: tuple = ()
    fields_of: dict = field(default_factory=dict)

    def __post_init__(self):
        self.session, self.last, self.watchdog = 0, 0, 0.0
        self._bytes, self._parts, self._kept = bytearray(), [], {}

    def feed(self, data):
        self._bytes += data
        out = b""
        while (end := self._bytes.find(0)) >= 0:
            encoded = bytes(self._bytes[:end])
            del self._bytes[: end + 1]
            if encoded:
                out += self._frame(unstuffed(encoded))
        return out

    def frame(self, kind, opcode, sequence, part, parts, payload, session=None):
        values = {"version": 1, "kind": kind, "opcode": opcode, "flags": int(self.outputs_on),
                  "session": self.session if session is None else session, "sequence": sequence, "part": part,
                  "parts": parts, "length": len(payload)}  # fmt: skip
        if kind != SYNCED:
            values |= self.header
        body = struct.pack("<BBBBIIHHH", *(int(v) for v in values.values())) + payload
        return stuffed(body + struct.pack("<I", zlib.crc32(body))) + b"\x00"

    def _frame(self, body):
        if len(body) < 22 or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
            return b""
        _, kind, opcode, _, session, sequence, part, parts, _ = struct.unpack("<BBBBIIHHH", body[:18])
        payload = body[18:-4]
        if kind == SYNC:
            return self._sync(session, payload)
        if kind != REQUEST or session != self.session:
            return b""
        if sequence <= self.last:
            return self._kept.get(sequence, b"") if part == parts - 1 else b""
        if part == 0:
            self._parts = []
        self._parts.append(payload)
        if part < parts - 1:
            if len(self._parts) % 4 == 0:
                return self.frame(CREDIT, 0, sequence, 0, 1, struct.pack("<H", part + 1))
            return b""
        self.last = sequence
        name = NAMES.get(opcode, "?")
        if name in self.silent_verbs:
            return b""
        reply = self._payload(name, b"".join(self._parts))
        pieces = [reply[at : at + 4056] for at in range(0, len(reply), 4056)] or [b""]
        frames = [self.frame(REPLY, opcode, sequence, n, len(pieces), piece) for n, piece in enumerate(pieces)]
        self._kept[sequence] = b"".join(frames)
        return self._kept[sequence]

    def _sync(self, nonce, payload):
        previous = struct.unpack_from("<I", payload, 4)[0]
        continued = (self.session != 0 and previous == self.session) or nonce == self.session
        if not continued:
            self.last, self._kept = 0, {}
            self.outputs_on = self.outputs_on and self.ignores_off
        self.session = nonce
        fields = [Field("version", "u8", 1), Field("continued", "u8", int(continued)), Field("window", "u16", 8),
                  Field("last", "u32", self.last), Field("boot", "u32", 7), Field("max_request", "u32", 1 << 16),
                  Field("max_reply", "u32", 1 << 16), Field("replies", "u16", 8)]  # fmt: skip
        return self.frame(SYNCED, 0, 0, 0, 1, self._maybe_spoilt("SYNCED", fields))

    def _payload(self, name, request):
        if name == "DISARM":
            self.outputs_on = self.outputs_on and self.ignores_off
            return self.off_says
        fields = getattr(self, "_" + name.lower(), lambda _: [])(request)
        return self._maybe_spoilt(name, fields)

    def _maybe_spoilt(self, name, fields):
        self.fields_of.setdefault(name, fields)
        if self.evil is not None and self.evil.verb == name and self.evil.number < len(fields):
            return spoilt(fields, self.evil)
        return b"".join(packed(f.kind, f.value) for f in fields)

    def _identify(self, _):
        names = [Field(name, "text", name) for name in ("vendor", "model", "serial", "firmware")]
        return [*names, Field("version", "u8", 1), Field("boot", "u32", 7), Field("capabilities", "u64", CAPABILITIES)]

    def _fabric(self, _):
        sizes = (("substrate", "u8", 0), ("arrays", "u16", 2), ("max_layers", "u16", 8), ("max_units", "u32", 64),
                 ("max_rows", "u32", 65), ("max_columns", "u32", 64), ("n", "u8", 0))  # fmt: skip
        return [Field(*size) for size in sizes]

    def _converters(self, _):
        kinds = ("id", "u8"), ("quantity", "u8"), ("bits", "u8"), ("ideal", "u8"), ("low", "f64"), ("high", "f64")
        rows = [
            Field(f"{name} {row[0]}", kind, v) for row in CONVERTERS for (name, kind), v in zip(kinds, row, strict=True)
        ]
        return [Field("n", "u8", len(CONVERTERS)), *rows]

    def _parameters(self, _):
        fields = [Field("n", "u16", len(PARAMETERS))]
        for number, value in PARAMETERS:
            fields += [Field(f"id {number}", "u16", number), Field(f"value {number}", "f64", value)]
        return fields

    def _limits(self, _):
        return [Field(f"limit {n}", "f64", value) for n, value in enumerate(LIMITS + LIMITS)]

    def _set_limits(self, request):
        return [Field(f"limit {n}", "f64", v) for n, v in enumerate(struct.unpack("<8d", request))]

    def _status(self, _):
        return [Field("state", "u8", int(self.outputs_on)), Field("trip", "u8", 0), Field("watchdog", "f64", 0.0),
                Field("remaining", "f64", 0.0), Field("uptime", "f64", 1.0), Field("transactions", "u64", 9),
                Field("damaged", "u32", 0), Field("faults", "u32", 1), Field("owner", "text", "somebody")]  # fmt: skip

    def _fault_log(self, request):
        first, most = struct.unpack("<IH", request)
        entries = [(0, 1.0, 0x30, "it was hot")][first : first + most]
        fields = [Field("total", "u32", 1), Field("n", "u16", len(entries))]
        for number, uptime, code, text in entries:
            fields += [Field("number", "u32", number), Field("uptime", "f64", uptime), Field("code", "u16", code),
                       Field("text", "text", text)]  # fmt: skip
        return fields

    def _self_test(self, _):
        return [Field("passed", "u8", 1), Field("n", "u16", 1), Field("passed 0", "u8", 1), Field("value", "f64", 0.5),
                Field("name", "text", "rails")]  # fmt: skip

    def _watchdog(self, request):
        self.watchdog = struct.unpack("<d", request)[0] if self.watchdog_says is None else self.watchdog_says
        return [Field("seconds", "f64", self.watchdog)]

    def _arm(self, _):
        self.outputs_on = True
        return [Field("seconds", "f64", self.watchdog)]

    def _reset(self, _):
        self.outputs_on = self.outputs_on and self.ignores_off
        return []

    def _temperature(self, _):
        return [Field("kelvin", "f64", 300.0)]

    def _configure(self, _):
        return [Field("m", "u16", 1), Field("rows", "u32", LAYERS[0] + 1), Field("columns", "u32", LAYERS[1])]

    def _write_cells(self, _):
        return [Field("written", "u64", 30), Field("pulses", "u64", 30), Field("failed", "u64", 0)]

    def _region(self, request):
        return struct.unpack_from("<HHBIIII", request)

    def _read_cells(self, request):
        region = self._region(request)
        reads = struct.unpack_from("<H", request, 21)[0]
        width = 1 if 255 * reads < 256 else 2
        codes = b"".join((100 * reads).to_bytes(width, "little") for _ in range(region[4] * region[6]))
        return [Field("rows", "u32", region[4]), Field("columns", "u32", region[6]), Field("width", "u8", width),
                Field("codes", "bytes", codes)]  # fmt: skip

    def _pulse(self, _):
        return [Field("delivered", "u64", 4), Field("most", "u32", 5)]

    def _measure(self, request):
        region = self._region(request)
        reads, count = struct.unpack_from("<HH", request, 21)
        values = struct.pack("<d", 1e-6) * (region[4] * region[6] * reads * count)
        return [Field("values", "u32", len(values) // 8), Field("amperes", "bytes", values)]

    def _usage(self, request):
        region = self._region(request)
        cells = region[4] * region[6]
        return [Field("rows", "u32", region[4]), Field("columns", "u32", region[6]),
                Field("pulses", "bytes", struct.pack("<I", 3) * cells),
                Field("joules", "bytes", struct.pack("<d", 1e-12) * cells)]  # fmt: skip

    def _settle(self, request):
        _, _, nudges, batch, _, _, n = struct.unpack_from("<HBBIHdB", request)
        layers = struct.unpack_from(f"<{n}b", request, 19)
        phases, each = 1 + nudges, (1 + nudges) * batch
        fields = [Field("phases", "u8", phases), Field("batch", "u32", batch), Field("n", "u8", n),
                  Field("settled", "bytes", b"\x01" * each), Field("iterations", "bytes", struct.pack("<I", 7) * each),
                  Field("seconds", "bytes", struct.pack("<f", 1e-6) * each),
                  Field("residual", "bytes", struct.pack("<f", 1e-4) * each),
                  Field("clipped", "bytes", struct.pack("<I", 0) * batch)]  # fmt: skip
        for layer in layers:
            fields += [Field(f"width {layer}", "u8", 1), Field(f"columns {layer}", "u32", LAYERS[layer]),
                       Field(f"codes {layer}", "bytes", b"\x80" * (each * LAYERS[layer]))]  # fmt: skip
        return fields

    def _product(self, request):
        transposed = request[5]
        batch = struct.unpack_from("<I", request, 8)[0]
        columns = LAYERS[0] + 1 if transposed else LAYERS[1]
        return [Field("batch", "u32", batch), Field("width", "u8", 1), Field("columns", "u32", columns),
                Field("codes", "bytes", b"\x80" * (batch * columns))]  # fmt: skip
