"""Probes of the SCPI door: the same request by frames and by text gets the same answer, and no text leaves it unusable.

Two devices of one seed go through the same requests, one by the payloads of PROTOCOL.md, one by the words of SCPI.md.
Whatever is answered must be the same: numbers and codes to the bit, refusals by name and by the code of SCPI.md 3.2.
"""

import random
import re
import struct
from pathlib import Path

import pytest

import firmware_specs
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from emulator.scpi import ScpiEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode, Trip
from firmware_specs.datasheet import load
from firmware_specs.messages import Configure

TEXT = (Path(firmware_specs.__file__).parent / "SCPI.md").read_text()
CODES = {name: int(code) for code, names in re.findall(r"^\| (-\d+) \|[^|]+\| (.+) \|$", TEXT, re.MULTILINE)
         for name in re.findall(r"[A-Z_]{4,}", names)}  # fmt: skip
BLOCK = b'{"layers":[{"shape":[4]},{"shape":[3],"clamped":false}],"couplings":[{"kind":"dense","pre":0,"post":1}]}'
SOUND = (0, 0, 0, 0, 5, 0, 3)
WIDE = (0, 1, 2, 3, 4, 5, 6, 255, 256, 65535)


PARAMETER = object()
"""A number that no device takes, refused as a parameter."""


def block(data):
    size = str(len(data)).encode()
    return b"#" + str(len(size)).encode() + size + data


def packed(fields):
    return struct.pack("<HHBIIII", *fields)


def words(*values):
    return b",".join(v if isinstance(v, bytes) else str(v).encode() for v in values)


class Doors:
    """Two devices in step, a door each."""

    def __init__(self):
        self.machines = [Machine(Device(Chip(load("mixed-8bit"), seed=3))) for _ in range(2)]
        self.link = ScpiEndpoint(self.machines[1], "probe")
        self.probes = self.sound = 0
        self.say(b"*CLS;:FORM:BORD SWAP")

    def say(self, message):
        return self.link.feed(message + b"\n")

    def by_text(self, message):
        """What a unit answers, or the name and code of its refusal."""
        said = self.say(message + b";:SYST:ERR:ALL?").removesuffix(b"\n")
        answer, _, errors = said.rpartition(b";") if said.endswith(b'0,"No error"') else (b"", b"", said)
        if errors == b'0,"No error"':
            return answer
        if re.fullmatch(rb'-22[24],"[^;"]+;parameter \d+: expected .*"', errors, re.DOTALL):
            return PARAMETER
        found = re.fullmatch(rb'(-\d+),"[^;"]+;([A-Z_]+): .*"', errors, re.DOTALL)
        assert found, said
        return found[2].decode(), int(found[1])

    def by_frames(self, opcode, payload, answer):
        try:
            return answer(self.machines[0].execute(opcode, payload, "probe"))
        except Refused as refused:
            return refused.code.name, CODES[refused.code.name]

    def probe(self, opcode, payload, message, answer=lambda reply: b""):
        self.probes += 1
        by_frames, by_text = self.by_frames(opcode, payload, answer), self.by_text(message)
        self.sound += isinstance(by_text, bytes)
        if by_text is PARAMETER:  # ruled out for every device: before the state is looked at, or as MALFORMED
            assert by_frames[0] in ("MALFORMED", "NOT_ARMED", "TRIPPED"), (opcode.name, message, by_frames)
        else:
            assert by_text == by_frames, (opcode.name, message)

    def armed(self):
        self.probe(Opcode.WATCHDOG, struct.pack("<d", 60.0), b"OUTP:PROT:WDOG 60")
        self.probe(Opcode.ARM, b"", b"OUTP ON")

    def placed(self):
        self.probe(Opcode.CONFIGURE, Configure(0, dense_chain([4, 3])).pack(), b"ARR:TOP 0," + block(BLOCK))


@pytest.fixture
def doors():
    return Doors()


def integers(layout, count):
    return lambda reply: b",".join(str(v).encode() for v in struct.unpack(layout, reply)[:count])


def codes(reply):
    return block(reply[9:])


def reals(reply):
    return block(reply[4:])


def usage(reply):
    cells = (len(reply) - 8) // 12
    pulses, joules = struct.unpack_from(f"<{cells}I", reply, 8), struct.unpack_from(f"<{cells}d", reply, 8 + 4 * cells)
    return block(struct.pack(f"<{2 * cells}d", *pulses, *joules))


def drawn(rng, most=2):
    """A region with up to so many numbers that it may not have."""
    fields = list(SOUND)
    for _ in range(rng.randrange(most + 1)):
        at = rng.randrange(7)
        fields[at] = rng.choice(WIDE[:8] if at == 2 else WIDE)
    return tuple(fields)


def one_of_each(doors, rng):
    """A request of every verb with fields, by both doors."""
    region, reads = drawn(rng), rng.choice((1, 2, 3, 0, 65535))
    doors.probe(Opcode.READ_CELLS, packed(region) + struct.pack("<H", reads),
                b"ARR:CELL:READ? " + words(*region, reads), codes)  # fmt: skip
    region = drawn(rng)
    doors.probe(Opcode.USAGE, packed(region), b"ARR:CELL:USAG? " + words(*region), usage)
    region, up, count = drawn(rng), rng.randrange(2), rng.choice((0, 1, 2, 10**9))
    volts, width_s = rng.choice((1.0, 0.5, 0.0, -1.0, 1e3)), rng.choice((1e-6, 0.0, 10.0))
    doors.probe(Opcode.PULSE, packed(region) + struct.pack("<BddBI", up, volts, width_s, 0, count),
                b"ARR:CELL:PULS? " + words(*region, "UP" if up else "DOWN", volts, width_s, count),
                integers("<QI", 2))  # fmt: skip
    region, reads, volts = drawn(rng), rng.choice((1, 2, 0)), [rng.choice((0.1, -0.1, 50.0)) for _ in range(2)]
    doors.probe(Opcode.MEASURE, packed(region) + struct.pack("<HH2d", reads, 2, *volts),
                b"ARR:CELL:MEAS? " + words(*region, reads, *volts), reals)  # fmt: skip
    array, *place = drawn(rng, 1)
    cells = place[3] * place[5]
    if cells <= 64:
        data, verify = bytes(rng.randrange(256) for _ in range(4 * cells)), rng.choice((0, 1, 3))
        text = words(array, verify, 0.125, *place, block(data))
        patch = struct.pack("<HBBIIII", place[0], place[1], 0, *place[2:]) + b"\x04" + data
        doors.probe(Opcode.WRITE_CELLS, struct.pack("<HHfH", array, verify, 0.125, 1) + patch,
                    b"ARR:CELL:WRIT? " + text, integers("<QQQ", 3))  # fmt: skip
    seconds = rng.choice((60.0, 30.0, 0.0, -1.0, 61.0))
    doors.probe(Opcode.WATCHDOG, struct.pack("<d", seconds), b"OUTP:PROT:WDOG " + words(seconds))


def test_the_table_of_refusals_is_the_text_s():
    assert {"NOT_ARMED", "OUT_OF_RANGE", "LIMIT", "BUDGET", "MALFORMED", "UNSUPPORTED", "INTERNAL"} <= set(CODES)
    assert len(set(CODES.values())) >= 7


def test_requests_in_every_state_are_answered_alike_by_frames_and_by_text(doors):
    rng = random.Random(11)
    for _ in range(8):
        one_of_each(doors, rng)  # nothing configured, outputs off
    doors.placed()
    for _ in range(8):
        one_of_each(doors, rng)
    doors.armed()
    for _ in range(60):
        one_of_each(doors, rng)
    for machine in doors.machines:
        machine.device.trip(Trip.EMERGENCY_STOP, "button")
    for _ in range(8):
        one_of_each(doors, rng)
    doors.probe(Opcode.ARM, b"", b"OUTP ON")
    assert doors.probes >= 400 and doors.sound >= 60


def test_limits_field_by_field_are_answered_alike_by_frames_and_by_text(doors):
    sound = struct.unpack("<8d", doors.machines[0].execute(Opcode.LIMITS, b"", "probe")[:64])
    for at in range(8):
        for value in (sound[at] / 2 if sound[at] < 1e300 else 1.0, 0.0, -1.0, 1e300, 1.5):
            wanted = [v if i != at else value for i, v in enumerate(sound)]
            text = words(*("INF" if v == float("inf") else repr(v) for v in wanted))
            doors.probe(Opcode.SET_LIMITS, struct.pack("<8d", *wanted), b"SOUR:LIM " + text)
            doors.probe(Opcode.SET_LIMITS, struct.pack("<8d", *sound), b"SOUR:LIM " + words(
                *("INF" if v == float("inf") else repr(v) for v in sound)))  # fmt: skip
    assert doors.probes == 80


SENTENCES = (
    b"OUTP:PROT:WDOG 30",
    b"OUTP ON",
    b"ARR:CELL:READ? 0,0,0,0,2,0,2,3",
    b"SYST:ECHO? 'it''s'",
    b"*ESE 32;*ESE?",
    b"ARR:CELL:WRIT? 0,1,0.1,0,0,0,1,0,2,#12\x05\x06",
    b"ARR:CELL:PULS? 0,0,0,0,1,0,1,UP,1.0,1e-6,1",
    b"STAT:DEV?;:OUTP:PROT:TRIP?",
    b"SOUR:LIM?;LIM:ABS?",
    b"ARR:CELL:MEAS? 0,0,0,0,1,0,1,1,0.1,-0.1",
)


def alive(doors, nonce):
    """The door answers what it is asked next, and its queue empties; a block that does not end needs a new link."""
    doors.say(b"")
    if doors.link.pending:
        doors.link = ScpiEndpoint(doors.machines[1], "probe")
    doors.say(b"SYST:ERR:ALL?")
    assert doors.say(b"SYST:ERR:COUN?;:SYST:ECHO? '%d'" % nonce) == b'0;"%d"\n' % nonce


def test_sentences_cut_short_or_changed_at_every_byte_leave_the_door_usable(doors):
    rng, nonce = random.Random(3), 0
    doors.placed()
    for sentence in SENTENCES:
        for at in range(len(sentence)):
            for text in (
                sentence[:at],
                sentence[:at] + bytes([rng.randrange(256)]) + sentence[at + 1 :],
                sentence[:at] + sentence,
            ):
                nonce += 1
                doors.say(text)
                alive(doors, nonce)
    assert nonce > 700 and doors.machines[1].device.outputs.owner in ("", "probe")


@pytest.mark.parametrize(
    ("plain", "others"),
    [
        (b"OUTP:PROT:WDOG 2;:OUTP:PROT:WDOG?",
         (b"outp:prot:wdog 2;:outp:prot:wdog?", b"OUTPut:PROTection:WDOG 2;WDOG?", b":OUTP:PROT:WDOG 2.0E0 ;WDOG?",
          b"OUTP:PROT:WDOG #H2;:OUTPUT:PROTECTION:WDOG?", b"OUTP:PROT:WDOG 2 S;WDOG?", b"OUTP:PROT:WDOG 2000MS;WDOG?",
          b"OUTP:PROT:WDOG\t+2;*OPC;WDOG?", b"OUTP1:PROT1:WDOG 2;WDOG?\r")),
        (b"SYST:ERR?", (b"SYSTem:ERRor:NEXT?", b":syst:err:next?", b"SYST:ERR?\r")),
        (b"SYST:ECHO? 'a;b,c'", (b'SYST:ECHO? "a;b,c"', b"syst:echo?   'a;b,c'  ")),
        (b"OUTP:PROT:WDOG 2;:OUTP ON;:OUTP?",
         (b"OUTP:PROT:WDOG 2;:OUTP:STAT 1;STAT?", b"OUTPut:PROT:WDOG 2;:OUTPut on;:OUTP?")),
        (b"FORM:BORD SWAP;:FORM:BORD?", (b"FORMat:BORDer SWAPped;BORD?", b"form:bord swapped;bord?")),
    ],
    ids=["numbers", "optional words", "strings", "booleans", "words"],
)  # fmt: skip
def test_every_spelling_the_text_allows_means_the_same(doors, plain, others):
    wanted = doors.say(plain)
    assert wanted.endswith(b"\n") and len(wanted) > 1
    for spelling in others:
        doors.say(b"OUTP OFF")
        assert doors.say(spelling) == wanted, spelling
        assert doors.say(b"SYST:ERR?") == b'0,"No error"\n', spelling
