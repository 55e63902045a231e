"""An instrument written from SCPI.md alone: what it answers can be replaced value by value.

A reply is a list of parts, one a query; a part is a list of values (joined by commas) or a block. An `Evil` names a
header, a value of its reply and what comes instead of it.
"""

import re
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

CAPABILITIES = sum(1 << bit for bit in (0, 1, 2, 7, 10, 11, 14, 15, 16, 17, 18, 21))
LAYERS = (4, 3)
TEXTS = {
    "0": b"0", "-1": b"-1", "1": b"1", "nan": b"NaN", "inf": b"INF", "-inf": b"-INF", "9.91e37": b"9.91E37",
    "1e300": b"1e300", "2^31": b"2147483648", "2^63": b"9223372036854775808", "half": b"0.5", "empty": b"",
    "word": b"banana", "quote": b'"', "escape": b"\x1b[2J\x1b]0;x\x07", "block": b"#15hello", "no end": b"#0abc",
    "huge": b"#9999999999", "digits": b"1" * 5000, "bytes": b"\xff\xfe\x00", "comma": b"1,1", "semicolon": b"1;1",
}  # fmt: skip
BLOCKS = {
    "0": b"", "1": b"\x00", "nan": struct.pack("<d", float("nan")), "inf": struct.pack("<d", float("inf")),
    "-1": struct.pack("<d", -1.0), "1e300": struct.pack("<d", 1e300), "2^63": struct.pack("<d", 2.0**63),
    "bytes": b"\xff" * 8, "half": struct.pack("<d", 0.5),
}  # fmt: skip
SHAPES = ("short", "long", "text instead", "twice", "indefinite")
HOWS = (*TEXTS, *SHAPES)
NO_ERROR = b'0,"No error"'


class Evil(NamedTuple):
    """`how` replaces value `number` of what a header answers."""

    header: str
    number: int
    how: str


class Block(NamedTuple):
    """The bytes of a block."""

    data: bytes


def block(data):
    length = b"%d" % len(data)
    return b"#%d%s%s" % (len(length), length, data)


def spoilt_block(data, how):
    if BLOCKS.get(how):
        return block((BLOCKS[how] * (len(data) // len(BLOCKS[how]) + 1))[: len(data)])
    if how == "0":
        return block(b"")
    if how == "short":
        return block(data[:-1])
    if how == "long":
        return block(data + bytes(5000))
    if how == "twice":
        return block(data) + block(data)
    if how == "indefinite":
        return b"#0" + data
    if how in TEXTS:
        return TEXTS[how]
    return b"hello"


@dataclass
class PlainInstrument:
    """Sound but for one `evil`. `feed` takes and gives bytes.

    Attributes:
        values_of: After a dialogue: how many values each header answered with.
        ignores_off: OUTPut OFF leaves the outputs on, as OUTPut? says; `state_says` is what STATus:DEVice? says.
        watchdog_says: What OUTPut:PROTection:WDOG? answers instead of what was set.
    """

    evil: Evil | None = None
    ignores_off: bool = False
    off_says: bytes | None = None
    state_says: int | None = None
    watchdog_says: bytes | None = None
    outputs_on: bool = False
    values_of: dict = field(default_factory=dict)

    def __post_init__(self):
        self._bytes, self.watchdog, self.deeds, self.settled = b"", b"0", 0, None
        self.number, self._named, self._kept = 0, False, (0, b"", b"")
        self.limits = b"2e-3,0.3,2.0,1e-3,1e6,1.0,400.0,1.0"
        self.topology = b"{}"

    def feed(self, data):
        self._bytes += data
        out = b""
        while (end := self._end()) >= 0:
            message, self._bytes = self._bytes[:end], self._bytes[end + 1 :]
            out += self._message(message)
        return out

    def _message(self, message):
        if message == self._kept[1] and self.number:
            return self._kept[2]
        self._named = False
        replies = [reply for unit in units(message) if (reply := self._unit(unit)) is not None]
        out = b";".join(replies) + b"\n" if replies else b""
        if self._named:
            self._kept = (self.number, message, out)
        return out

    def _end(self):
        return scan(self._bytes, b"\n")

    def _unit(self, unit):
        header, _, rest = unit.strip().partition(b" ")
        name = header.decode().lstrip(":").upper()
        if name == "SYST:ERR:ALL?":
            return NO_ERROR
        if name == "SYST:ECHO?":
            return rest
        known = name.removeprefix("OUTP:PROT:") if name in ("WDOG?", "OUTP:PROT:WDOG?") else name
        known = {"SETT:STAT?": "ARR:SETT:STAT?", "LIM?": "SOUR:LIM?", "TEMP?": "SYST:TEMP?", "SEQ?": "SYST:SEQ?"}.get(
            known, known
        )
        answer = self._answer(known, parameters(rest))
        return None if answer is None else self._maybe_spoilt(known, answer)

    def _maybe_spoilt(self, name, values):
        self.values_of.setdefault(name, len(values))
        evil = self.evil
        found = [block(v.data) if isinstance(v, Block) else v for v in values]
        if evil is not None and evil.header == name and evil.number < len(values):
            value = values[evil.number]
            if isinstance(value, Block):
                found[evil.number] = spoilt_block(value.data, evil.how)
            elif evil.how in TEXTS:
                found[evil.number] = TEXTS[evil.how]
            elif evil.how == "short":
                del found[evil.number]
            elif evil.how == "long":
                found += [b"1"] * 20
            elif evil.how == "twice":
                found.insert(evil.number, found[evil.number])
            else:
                found[evil.number] = block(b"12345")
        return b",".join(found)

    def _answer(self, name, given):
        fixed = {
            "*IDN?": [b"vendor", b"model", b"serial", b"firmware"], "SYST:CAP?": [b"%d" % CAPABILITIES],
            "SYST:BOOT?": [b"7"], "SYST:BLOC:MAX?": [b"65536", b"65536"], "FORM:BORD?": [b"SWAP"], "*OPC?": [b"1"],
            "*TST?": [b"0"], "SYST:TRAN?": [b"%d" % self.deeds], "SYST:TRAN:ARM?": [b"9"], "SYST:TEMP?": [b"300.0"],
            "SYST:FAUL?": [b"1", b"0", b"1.5", b"48", b'"it was hot"'],
            "DEV:FABR?": [b"0", b"2", b"8", b"64", b"65", b"64"], "SOUR:LIM:ABS?": self.limits.split(b","),
            "DEV:CONV?": b"1,1,8,0,-1e-3,1e-3,2,1,8,0,-1e-3,1e-3,3,0,8,0,0,1,4,0,8,0,-1,1,5,0,8,0,-0.2,0.2,6,1,8,0,"
                         b"-1e-3,1e-3".split(b","),
            "DEV:PAR?": b"1,0.5,2,1e4,3,-1,4,1,5,1e-6,6,1e-4,7,8,8,1e-6,9,0,10,0,11,64,12,1e-3".split(b","),
        }  # fmt: skip
        if name in fixed:
            return fixed[name]
        if name == "*RST":
            self.outputs_on = self.outputs_on and self.ignores_off
        method = getattr(self, "_" + re.sub(r"\W+", "_", name.rstrip("?").lower()), None)
        return None if method is None else method(given, name.endswith("?"))

    def _outp(self, given, asked):
        if asked:
            return [self.off_says if self.off_says is not None and not self.outputs_on else b"%d" % self.outputs_on]
        wanted = given[0].upper() in (b"ON", b"1")
        self.outputs_on = wanted or (self.outputs_on and self.ignores_off)
        return None

    def _wdog(self, given, asked):
        return [self.watchdog if self.watchdog_says is None else self.watchdog_says]

    def _outp_prot_wdog(self, given, asked):
        self.watchdog = given[0]

    def _syst_seq(self, given, asked):
        if asked:
            return [b"%d" % self.number]
        self.number, self._named = int(given[0]), True
        return None

    def _stat_dev(self, given, asked):
        state = int(self.outputs_on) if self.state_says is None else self.state_says
        return [b"%d" % state, b"0", b"0", b"0", b"1.0", b"9", b"0", b"1", b'"somebody"']

    def _sour_lim(self, given, asked):
        if asked:
            return self.limits.split(b",")
        self.limits = b",".join(given)
        return None

    def _arr_cell_writ(self, given, asked):
        self.deeds += 1
        cells = sum(int(v) for v in (15, 15))
        return [b"%d" % cells, b"%d" % cells, b"0"]

    def _region(self, given):
        return int(given[4]) * int(given[6])

    def _arr_cell_read(self, given, asked):
        reads = int(given[7])
        width = 1 if 255 * reads < 256 else 2
        return [Block((100 * reads).to_bytes(width, "little") * self._region(given))]

    def _arr_cell_puls(self, given, asked):
        self.deeds += 1
        each = int(given[10]) if given[10].isdigit() else 1
        return [b"%d" % (each * self._region(given)), b"5"]

    def _arr_cell_meas(self, given, asked):
        return [Block(struct.pack("<d", 1e-6) * (self._region(given) * int(given[7]) * len(given[8:])))]

    def _arr_cell_usag(self, given, asked):
        cells = self._region(given)
        return [Block(struct.pack("<d", 3.0) * cells + struct.pack("<d", 1e-12) * cells)]

    def _arr_sett(self, given, asked):
        batch, phases = int(given[1]), 1 + int(given[2])
        layers = [int(n) for n in re.findall(rb"-?\d+", given[5])]
        self.settled = (batch, phases)
        return [Block(b"\x80" * (batch * phases * sum(LAYERS[n] for n in layers)))]

    def _arr_sett_stat(self, given, asked):
        batch, phases = self.settled
        return [Block(struct.pack("<4d", 1.0, 7.0, 1e-6, 1e-4) * (batch * phases) + struct.pack("<d", 0.0) * batch)]

    def _arr_prod(self, given, asked):
        columns = LAYERS[0] + 1 if given[3].startswith(b"TRAN") else LAYERS[1]
        return [Block(b"\x80" * (int(given[5]) * columns))]


def scan(data, end):
    """Where `end` stands outside strings, lists and blocks; -1 where it does not, or a block is not whole."""
    at, quoted = 0, False
    while at < len(data):
        sign = data[at : at + 1]
        if not quoted and sign == b"#" and data[at + 1 : at + 2].isdigit() and data[at + 1 : at + 2] != b"0":
            digits = int(data[at + 1 : at + 2])
            if len(data) < at + 2 + digits:
                return -1
            at += 2 + digits + int(data[at + 2 : at + 2 + digits])
            continue
        if sign == b'"':
            quoted = not quoted
        if not quoted and sign == b"(":
            at = data.find(b")", at)
        if not quoted and sign == end:
            return at
        at += 1
    return -1


def cut(data, at):
    found = []
    while (end := scan(data, at)) >= 0:
        found.append(data[:end])
        data = data[end + 1 :]
    return [*found, data]


def units(message):
    return [unit for unit in cut(message, b";") if unit.strip()]


def parameters(rest):
    return [value.strip() if not value.startswith(b"#") else value for value in cut(rest, b",")]
