"""The emulated firmware and the firmware in C get the same probes, and answer alike wherever the text decides.

Both are the board of `firmware_specs/firmware/board.toml`, without noise. A probe is a request, or bytes as a wire may
carry them; what is compared of an answer is everything but what is a device's own: words, boot, times.
"""

import random
import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import device_numbers
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.codes import Capability, ErrorCode, Kind, Opcode
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware import board
from firmware_specs.firmware.board import FOLDER
from firmware_specs.fragments import cut
from firmware_specs.frame import DELIMITER, Decoder, Frame, encode
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Coincide,
    Configure,
    Credit,
    Currents,
    FaultLog,
    FaultQuery,
    Measure,
    Patch,
    Pulse,
    ReadCells,
    Refusal,
    Region,
    Settle,
    SettleReply,
    Status,
    Sync,
    Synced,
    Term,
    Train,
    Update,
    Updated,
    WriteCells,
    pack_array,
    pack_number,
    pack_topology,
    parse_parameters,
)
from firmware_specs.topology import Dense, Layer, Topology

NONCE = 77
FREE = (ErrorCode.OUT_OF_RANGE,)
"""Errors whose `detail` has no meaning."""
REGION = Region(0, 0, 0, 0, 5, 0, 3)
BLOCK = dense_chain([4, 3])
BOTH = (Term(1, 0, True), Term(2, 0, False))


ABLE = Capability.SETTLE | Capability.PULSE | Capability.TEMPERATURE | Capability.CONFIGURABLE | Capability.MEASURE
ABLE |= Capability.USAGE | Capability.DIFFERENTIAL | Capability.WRITE | Capability.READ | Capability.SELF_TEST
ABLE |= Capability.WATCHDOG | Capability.VERIFY | Capability.LINK_LOSS | Capability.UPDATE
ABLE |= Capability.COINCIDE


@pytest.fixture(scope="module")
def quiet():
    """The board's datasheet without noise, as of a board whose array updates itself."""
    sheet = load(FOLDER / "board.toml").model_dump()
    sheet["cells"]["programming_noise"] = 0.0
    sheet["state_adc"]["noise_sigma_v"] = sheet["output_adc"]["noise_sigma_v"] = 0.0
    sheet["update"] = {"rate_per_s": 20.0, "window_s": 1e-2, "batch": 4, "gain": 0.1, "bias": 0.02, "injection": -0.01}
    sheet["update"] |= {"limit": 0.75, "dead_zone": 1e-3}
    sheet["pulses"]["threshold_v"], sheet["coincidence"] = 0.8, {"half_select": 0.25}
    return Datasheet.model_validate(sheet)


@pytest.fixture(scope="module")
def in_c(c_boards, quiet, tmp_path_factory):
    sources = tmp_path_factory.mktemp("sources") / "quiet"
    shutil.copytree(FOLDER, sources)
    (sources / "board.h").write_text(board.text(quiet, "a board without noise"))
    return c_boards.make("check", name="quiet-build", sources=sources) / "board-checked"


def emulated(sheet):
    """The emulated firmware on a wire, with the abilities of the one in C."""
    device = Device(Chip(sheet, seed=1), max_request=4 * 4056)
    device.max_reply, device.capabilities = 4 * 4056, ABLE
    return SerialEndpoint(Machine(device), "probe", window=2).feed


class Wire:
    """Sends probes; a request of a session that nobody has, whose NAK names it, says that all was answered."""

    def __init__(self, write, read):
        self.write, self.read = write, read
        self.marker, self.sequence = 0x7F000000, 0
        self.decoder = Decoder()

    def probe(self, *data):
        """The frames that came in answer."""
        self.marker += 1
        for piece in (*data, encode(Frame(Kind.REQUEST, 1, 0, self.marker, 1))):
            self.write(piece)
        frames = []
        while not frames or frames[-1].session != self.marker:
            frames += self.decoder.feed(self.read())
        return frames[:-1]

    def sync(self, nonce=NONCE, previous=0):
        self.sequence = 0
        return self.probe(DELIMITER, encode(Frame(Kind.SYNC, 0, 0, nonce, 0, payload=Sync(8, previous, "who").pack())))

    def ask(self, opcode, payload=b"", session=NONCE):
        """One request; credit for all of a long reply comes with it."""
        self.sequence += 1
        payload = payload if isinstance(payload, bytes) else payload.pack()
        frames = [encode(f) for f in cut(Kind.REQUEST, opcode, 0, session, self.sequence, payload)]
        return self.probe(*frames)


@pytest.fixture
def wires(in_c, quiet):
    kept = []
    feed = emulated(quiet)
    process = subprocess.Popen([in_c, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def read():
        data = process.stdout.read(65536)
        assert data, "the firmware in C ended"
        return data

    yield Wire(lambda data: kept.append(feed(data)), lambda: kept.pop(0)), Wire(process.stdin.write, read)
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0


def essence(frame):
    """What the text decides of a frame."""
    head = (frame.kind, frame.opcode, frame.flags, frame.session, frame.sequence, frame.part, frame.parts)
    payload = frame.payload
    if frame.kind == Kind.ERROR:
        refusal = Refusal.parse(payload)
        detail = None if refusal.code in FREE else refusal.detail
        return (*head, ErrorCode(refusal.code).name, detail, refusal.text != "")
    if frame.kind == Kind.SYNCED:
        synced = Synced.parse(payload)
        return (*head, synced.version, synced.continued, synced.last)
    if frame.kind == Kind.REPLY:
        return (*head, said(frame.opcode, payload))
    return (*head, payload)


def said(opcode, payload):
    """What of a reply is not a device's own."""
    if opcode == Opcode.STATUS:
        s = Status.parse(payload)
        return s.state, s.trip, s.watchdog_s, s.transactions, s.damaged, s.faults, s.owner
    if opcode == Opcode.PARAMETERS:
        return parse_parameters(payload)
    if opcode == Opcode.FAULT_LOG:
        log = FaultLog.parse(payload)
        return log.total, [(entry.number, entry.code) for entry in log.entries]
    if opcode == Opcode.USAGE:
        return CellUsage.parse(payload).pulses.tolist()
    if opcode == Opcode.SETTLE:
        reply = SettleReply.parse(payload)
        return reply.settled.shape, reply.clipped.tolist(), [Near(s) for s in reply.states]
    if opcode == Opcode.UPDATE:
        return Updated.parse(payload)
    if opcode == Opcode.MEASURE:
        return Near(Currents.parse(payload).amperes)
    if opcode == Opcode.READ_CELLS:
        return Near(CellCodes.parse(payload).codes)
    if opcode in (Opcode.IDENTIFY, Opcode.SELF_TEST, Opcode.TEMPERATURE):
        return None
    return payload


class Near:
    """Numbers that agree up to single precision."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        mine, theirs = self.values, other.values
        alike = mine.dtype == theirs.dtype and mine.shape == theirs.shape
        off = np.abs(mine.astype(float) - theirs.astype(float)) if alike else np.ones(1)
        return alike and bool((off <= 2e-3 * np.abs(theirs.astype(float)).max()).all())

    def __repr__(self):
        return f"Near({self.values.tolist()})"


class Pair:
    """Both firmwares, asked the same."""

    def __init__(self, wires):
        self.wires, self.probes, self.differing = wires, 0, []

    def __getattr__(self, name):
        def both(*args, **options):
            self.probes += 1
            answers = [[essence(f) for f in getattr(wire, name)(*args, **options)] for wire in self.wires]
            if answers[0] != answers[1]:
                self.differing.append((name, args, *answers))
            return answers[0]

        return both

    @property
    def sequence(self):
        return self.wires[0].sequence

    def skip(self, count=1):
        """Probes of raw frames have taken sequence numbers."""
        for wire in self.wires:
            wire.sequence += count

    def agree(self, least):
        assert not self.differing, f"{len(self.differing)} of {self.probes} differ: {self.differing[:3]}"
        assert self.probes >= least


@pytest.fixture
def pair(wires):
    """Both in SAFE, in a new session, a block on array 0, at most 200 pulses more for any cell."""
    for wire in wires:
        wire.sync(NONCE - 1)
    pair = Pair(wires)
    pair.sync()
    pair.ask(Opcode.CLEAR)
    pair.ask(Opcode.CONFIGURE, Configure(0, BLOCK))
    most = max(max(row) for n in (0, 1) for row in pair.ask(Opcode.USAGE, Region(0, 0, n, 0, 5, 0, 3))[0][-1])
    pair.ask(Opcode.SET_LIMITS, limits(max_pulses_per_cell=most + 200.0))
    pair.ask(Opcode.WATCHDOG, pack_number(60.0))
    return pair


def limits(**changes):
    return replace(device_numbers.limits(load(FOLDER / "board.toml")), **changes)


def lines(rng, trains, slots, density=0.5):
    """Trains on the whole coupling or a part of it, on either plane, up and down."""
    made = []
    for _ in range(trains):
        row, column = int(rng.integers(0, 3)), int(rng.integers(0, 2))
        region = Region(0, 0, int(rng.integers(0, 2)), row, 5 - row, column, 3 - column)
        bits = rng.random((slots, region.rows)) < density, rng.random((slots, region.columns)) < density
        made.append(Train(region, bool(rng.integers(0, 2)), *bits))
    return tuple(made)


def requests():
    """One sound request of every verb that has a payload."""
    codes = np.full((5, 3), 700, "<u2")
    drive, nudge = np.full((2, 4), 2100, "<u2"), np.full((2, 3), 2047, "<u2")
    listed = Patch(replace(REGION, plane=1), np.array([3, 900], "<u2"), np.array([0, 7], "<u4"))
    return [
        (Opcode.SET_LIMITS, limits(max_pulses_per_cell=300.0)),
        (Opcode.FAULT_LOG, FaultQuery()),
        (Opcode.CONFIGURE, Configure(0, BLOCK)),
        (Opcode.TOPOLOGY, pack_array(0)),
        (Opcode.WRITE_CELLS, WriteCells(0, (Patch(REGION, codes), listed), 3, 0.01)),
        (Opcode.READ_CELLS, ReadCells(REGION, 3)),
        (Opcode.PULSE, Pulse(REGION, True, 1.5, 1e-6, 2)),
        (Opcode.PULSE, Pulse(REGION, False, 1.5, 1e-6, np.full((5, 3), 1, "<u2"))),
        (Opcode.COINCIDE, Coincide(0, 1.5, 1e-6, lines(np.random.default_rng(0), 2, 3))),
        (Opcode.MEASURE, Measure(REGION, np.array([0.1, -0.1]), 2)),
        (Opcode.USAGE, REGION),
        (Opcode.SETTLE, Settle(0, drive, (nudge, nudge), (1, 0), 4)),
        (Opcode.UPDATE, Update(0, drive, (nudge + 500, nudge), BOTH, np.array([1e-3, 2e-3], "<f4"))),
    ]


def test_every_opcode_with_and_without_payload_in_safe_and_armed(pair):
    for _ in range(2):
        for opcode in range(256):
            if opcode not in (Opcode.ARM, Opcode.RESET):
                pair.ask(opcode, b"")
                pair.ask(opcode, b"\x01")
        pair.ask(Opcode.WATCHDOG, pack_number(60.0))
        pair.ask(Opcode.ARM)
    pair.ask(Opcode.STATUS)
    pair.agree(1000)


def test_requests_cut_short_at_every_byte_and_too_long(pair):
    pair.ask(Opcode.ARM)
    for opcode, request in requests():
        payload = request if isinstance(request, bytes) else request.pack()
        for size in range(len(payload)):
            pair.ask(opcode, payload[:size])
        pair.ask(opcode, payload + b"\x00")
        pair.ask(opcode, payload)
    pair.ask(Opcode.STATUS)
    pair.agree(500)


def test_requests_with_bytes_changed(pair):
    """Mutations: every field comes to values that it may not have, in every verb."""
    rng = random.Random(5)
    pair.ask(Opcode.ARM)
    for _ in range(80):
        for opcode, request in requests():
            if opcode == Opcode.CONFIGURE:
                continue  # another topology finds cells as they are: each device its own
            payload = bytearray(request if isinstance(request, bytes) else request.pack())
            for _ in range(rng.choice((1, 1, 1, 2))):
                payload[rng.randrange(len(payload))] = rng.choice((0, 1, 2, 3, 4, 127, 128, 255, rng.randrange(256)))
            if not of_one_capability(opcode, bytes(payload)):
                pair.ask(opcode, bytes(payload))
    pair.agree(600)


def of_one_capability(opcode, payload):
    """Start states and other settle times: the emulated firmware has them, the one in C has not."""
    if opcode == Opcode.UPDATE:
        return payload[7:15] != bytes(8)
    return opcode == Opcode.SETTLE and (payload[2] or payload[10:18] != bytes(8))


def armed_in_the_middle(pair, rng):
    """Outputs on, and cells that can go both ways."""
    pair.ask(Opcode.ARM)
    for plane in (0, 1):
        middle = rng.integers(300, 700, (5, 3)).astype("<u2")
        pair.ask(Opcode.WRITE_CELLS, WriteCells(0, (Patch(replace(REGION, plane=plane), middle),), 0xFFFF, 0.01))


def test_updates_move_the_same_cells_by_as_much_and_once(pair):
    rng = np.random.default_rng(3)
    armed_in_the_middle(pair, rng)
    for nudges, terms in (
        (2, BOTH),
        (1, (Term(1, 0),)),
        (0, (Term(0, 0, False), Term(0, 0, False))),
        (2, (Term(1, 2), Term(2, 1), Term(0, 2), Term(2, 0, False))),
    ):
        for samples in (1, 4, 5):
            drive = rng.integers(1800, 2600, (samples, 4)).astype("<u2")
            codes = tuple(rng.integers(0, 4095, (samples, 3)).astype("<u2") for _ in range(nudges))
            windows = rng.uniform(0, 1.1e-2, samples).astype("<f4")
            request = Update(0, drive, codes, terms, windows)
            pair.ask(Opcode.UPDATE, request)
            for plane in (0, 1):
                pair.ask(Opcode.READ_CELLS, ReadCells(replace(REGION, plane=plane), 1))
                pair.ask(Opcode.USAGE, replace(REGION, plane=plane))
    pair.agree(60)


def test_pulses_on_rows_and_columns_move_the_same_cells_and_count_alike(pair):
    rng = np.random.default_rng(4)
    armed_in_the_middle(pair, rng)
    for amplitude_v in (1.5, 3.0, 3.2, 3.25, 3.3):  # a quarter of more than 3.2 V is above the threshold
        for trains, slots in ((1, 1), (3, 4), (2, 9), (8, 2)):
            pair.ask(Opcode.COINCIDE, Coincide(0, amplitude_v, 1e-6, lines(rng, trains, slots)))
            for plane in (0, 1):
                pair.ask(Opcode.READ_CELLS, ReadCells(replace(REGION, plane=plane), 1))
                pair.ask(Opcode.USAGE, replace(REGION, plane=plane))
    for _ in range(4):  # one after the other until a cell has had its 200 pulses, which two trains share
        pair.ask(Opcode.COINCIDE, Coincide(0, 3.0, 1e-6, lines(rng, 2, 60, 0.8)))
        pair.ask(Opcode.USAGE, REGION)
    pair.agree(100)


def test_topologies_that_do_not_fit_or_are_malformed(pair):
    sound = pack_array(0) + pack_topology(BLOCK)
    two = Layer(shape=(4,)), Layer(shape=(3,), clamped=False)
    for topology in (
        Topology(layers=two, couplings=(Dense(pre=0, post=1, bias=False),)),
        Topology(layers=(Layer(shape=(256,)), Layer(shape=(256,))), couplings=(Dense(pre=0, post=1),)),
        Topology(layers=(Layer(shape=(257,)), Layer(shape=(2,))), couplings=(Dense(pre=0, post=1),)),
        Topology(layers=(Layer(shape=(9,)),)),
        Topology(layers=(Layer(shape=(2, 3, 4)), *two[1:]), couplings=(Dense(pre=0, post=1),)),
        dense_chain([4, 3, 2]),
        dense_chain([4, 3, 2, 2]),
        resistive_chain(4, [3, 2]),
    ):
        pair.ask(Opcode.CONFIGURE, Configure(0, topology))
        pair.ask(Opcode.TOPOLOGY, pack_array(0))
    for at in range(len(sound)):
        for value in (0, 1, 2, 3, 255):
            pair.ask(Opcode.CONFIGURE, sound[:at] + bytes([value]) + sound[at + 1 :])
    pair.agree(200)


@pytest.mark.parametrize(("at", "kind", "values"), [(0, "d", (0.0, -1.0, 1e300, 1.5, 100.0))], ids=["each limit"])
def test_limits_field_by_field(pair, at, kind, values):
    sound = limits().pack()
    for field in range(8):
        for value in (*values, float("nan"), float("inf"), -float("inf")):
            pair.ask(Opcode.SET_LIMITS, sound[: 8 * field] + struct.pack("<d", value) + sound[8 * field + 8 :])
            pair.ask(Opcode.LIMITS)
            pair.ask(Opcode.SET_LIMITS, sound)
    pair.agree(150)


def raw(opcode=Opcode.ECHO, sequence=0, part=0, parts=1, payload=b"", session=NONCE, kind=Kind.REQUEST):
    return encode(Frame(kind, opcode, 0, session, sequence, part, parts, payload))


def test_frames_of_one_request_that_are_lost_repeated_swapped_short_or_of_another(pair):
    full, end = bytes(range(256)) * 15 + bytes(216), b"end"
    for order in (
        [(0, full), (1, end)],
        [(1, end)],
        [(0, full), (0, full), (1, end)],
        [(0, full), (1, end), (1, end)],
        [(0, full), (1, end), (0, full)],
        [(0, b"short"), (1, end)],
        [(0, full), (0, b"short"), (1, end)],
    ):
        n = pair.sequence + 1
        pair.probe(*(raw(sequence=n, part=part, parts=2, payload=payload) for part, payload in order))
        pair.sync(NONCE)
        pair.ask(Opcode.STATUS)
        pair.sync(NONCE + 1)
        pair.sync(NONCE)
    n = pair.sequence + 1
    for other in (
        raw(Opcode.HEARTBEAT, n, 1, 2, end),
        raw(sequence=n, part=1, parts=3, payload=full),
        raw(sequence=n, part=2, parts=3, payload=end),
        raw(sequence=n, part=0, parts=1),
        raw(sequence=n + 1),
        raw(sequence=0),
    ):
        pair.probe(raw(sequence=n, part=0, parts=2, payload=full), other)
        pair.probe(raw(sequence=n, part=1, parts=2, payload=end))
        pair.sync(NONCE + 1)
        pair.sync(NONCE)
        n = 1
    pair.probe(raw(sequence=n, part=0, parts=60000, payload=full))
    pair.probe(raw(sequence=n, part=1, parts=60000, payload=full))
    pair.probe(raw(sequence=n, part=59999, parts=60000, payload=end))
    pair.agree(40)


def test_duplicates_stale_ones_and_other_sessions(pair):
    for n in range(1, 9):
        pair.ask(Opcode.ECHO, bytes([n]))
    last = pair.sequence
    for back in (0, 1, 40):
        pair.probe(raw(sequence=max(0, last - back), payload=b"x"))
    pair.probe(raw(sequence=last), raw(sequence=last), raw(Opcode.HEARTBEAT, last))
    pair.probe(raw(session=5, sequence=1), raw(session=5, sequence=1), raw(session=5, sequence=2))
    pair.probe(raw(session=5, sequence=3, part=0, parts=2, payload=bytes(4056)),
               raw(session=5, sequence=3, part=1, parts=2, payload=b"x"))  # fmt: skip
    pair.probe(raw(session=0, sequence=1))
    pair.probe(raw(sequence=last + 2), raw(sequence=last + 3), raw(sequence=last + 1))
    pair.skip()
    pair.ask(Opcode.STATUS)
    pair.agree(15)


def test_syncs_sound_and_malformed(pair):
    sound = Sync(8, 0, "who").pack()
    pair.ask(Opcode.WATCHDOG, pack_number(60.0))
    pair.ask(Opcode.ARM)
    sync = {"kind": Kind.SYNC, "opcode": 0}
    for data in (
        raw(**sync, session=0, payload=sound),
        raw(**sync, payload=sound, sequence=4),
        raw(**sync | {"opcode": 1}, payload=sound),
        raw(**sync, payload=sound, parts=2),
        raw(**sync, payload=sound[:-1]),
        raw(**sync, payload=sound + b"x"),
        raw(**sync, payload=Sync(1, 0, "who").pack()),
        raw(**sync, payload=Sync(0, 0, "who").pack()),
        raw(**sync, payload=Sync(8, 0, "o" * 129).pack()),
        raw(**sync, payload=Sync(8, 0, "o" * 200).pack()),
        raw(**sync, payload=b""),
        *(raw(**sync, payload=owned(text)) for text in NO_UTF8),
    ):
        pair.probe(data, data)
        pair.ask(Opcode.STATUS)
    for text in ("\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff", "Zürich ∞"):
        pair.probe(raw(**sync, payload=Sync(8, 0, text).pack()))
        pair.ask(Opcode.STATUS)
    pair.probe(raw(**sync, payload=sound))
    pair.ask(Opcode.STATUS)
    pair.probe(raw(**sync, session=NONCE + 1, payload=Sync(8, NONCE, "o" * 128).pack()))
    pair.ask(Opcode.STATUS, session=NONCE + 1)
    pair.probe(raw(**sync, session=9, payload=Sync(8, NONCE + 1, "w", 2, 9).pack()))
    pair.ask(Opcode.STATUS, session=NONCE + 1)
    pair.probe(b"\x05noise\x00", raw(session=NONCE + 1, sequence=1, payload=b"x"))
    pair.sync()
    pair.ask(Opcode.STATUS)
    pair.agree(30)


NO_UTF8 = (
    b"\xff\xfe\xfd", b"\x80", b"\xbf.", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x28\xa1", b"\xf0\x90\x80",
    b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
)  # fmt: skip
"""Alone, cut off, overlong, surrogates, beyond the last."""


def owned(text):
    """A SYNC's payload with these bytes as the owner."""
    empty = Sync(8, 0, "").pack()
    return empty[:-2] + len(text).to_bytes(2, "little") + text


def test_long_replies_wait_for_credit_and_end_with_a_sync(pair):
    echo = bytes(3 * 4056)
    two = Sync(2, 0, "who").pack()
    for more in (
        [raw(kind=Kind.CREDIT, opcode=0, sequence=1, payload=Credit(n).pack()) for n in (1, 2, 3)],
        [raw(kind=Kind.CREDIT, opcode=0, sequence=1, payload=Credit(60000).pack())],
        [raw(kind=Kind.CREDIT, opcode=0, sequence=2, payload=Credit(2).pack())],
        [raw(kind=Kind.CREDIT, opcode=0, sequence=1, payload=b"\x01")],
        [raw(kind=Kind.CREDIT, opcode=3, sequence=1, payload=Credit(2).pack())],
        [raw(kind=Kind.SYNC, opcode=0, payload=two)],
        [raw(kind=Kind.SYNC, opcode=0, session=NONCE + 1, payload=Sync(2, NONCE, "who").pack())],
        [raw(sequence=1, part=3, parts=4, payload=b"x")],
        [raw(Opcode.HEARTBEAT, 2)],
    ):
        pair.probe(raw(kind=Kind.SYNC, opcode=0, session=NONCE + 5, payload=two))
        pair.probe(raw(kind=Kind.SYNC, opcode=0, payload=two))
        frames = [encode(f) for f in cut(Kind.REQUEST, Opcode.ECHO, 0, NONCE, 1, echo + b"tail")]
        pair.probe(*frames)
        for data in more:
            pair.probe(data)
    pair.sync()
    pair.agree(20)


def test_reset_and_trips_by_their_flags(pair):
    pair.ask(Opcode.ARM)
    pair.ask(Opcode.SET_LIMITS, limits(max_temperature_k=250.0, max_pulses_per_cell=200.0))
    for opcode in (Opcode.STATUS, Opcode.CLEAR, Opcode.ARM, Opcode.READ_CELLS, Opcode.SELF_TEST, Opcode.FAULT_LOG):
        pair.ask(opcode, FaultQuery() if opcode == Opcode.FAULT_LOG else b"")
    pair.ask(Opcode.SET_LIMITS, limits())
    pair.ask(Opcode.RESET)
    pair.ask(Opcode.STATUS)
    pair.sync()
    for opcode in (Opcode.STATUS, Opcode.ARM, Opcode.LIMITS, Opcode.CLEAR, Opcode.STATUS):
        pair.ask(opcode)
    pair.ask(Opcode.USAGE, REGION)
    pair.ask(Opcode.CONFIGURE, Configure(0, BLOCK))
    pair.ask(Opcode.WATCHDOG, pack_number(60.0))
    pair.ask(Opcode.ARM)
    pair.ask(Opcode.RESET)
    pair.sync()
    pair.ask(Opcode.STATUS)
    pair.agree(20)
