"""The framed link against a device written from PROTOCOL.md alone, over wires that lose, damage and repeat."""

import itertools
import random
import threading
import time
import zlib
from collections import Counter

import numpy as np
import pytest
from cobs import cobs

from drivers.errors import Busy, CorruptFrame, DeviceFault, LinkLost, LinkTimeout, OutOfRange, ProtocolViolation
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from firmware_specs.codes import DeviceFlag, Opcode
from firmware_specs.messages import Product

FULL = 4056


class TextbookDevice:
    """Sections 2 to 5 of the protocol with its own framing code: ECHO answers, PULSE counts, HEARTBEAT refuses."""

    def __init__(self, window=4, max_request=1 << 20):
        self.window, self.max_request = window, max_request
        self.boot, self.session, self.last = 7, 0, 0
        self.cache, self.pulses, self.executed = {}, Counter(), []
        self.pending, self.parts, self.naked = b"", [], False
        self.sending = []
        self.outputs = False
        self.busy = 0
        self.host_window = 2

    def frame(self, kind, opcode, sequence, payload=b"", index=0, count=1, flags=0, session=None):
        flags |= self.outputs
        session = self.session if session is None else session
        body = bytes([1, kind, opcode, flags]) + session.to_bytes(4, "little") + sequence.to_bytes(4, "little")
        body += index.to_bytes(2, "little") + count.to_bytes(2, "little") + len(payload).to_bytes(2, "little") + payload
        return cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"

    def feed(self, data):
        *pieces, self.pending = (self.pending + data).split(b"\0")
        return b"".join(self.handle(piece) for piece in pieces if piece)

    def handle(self, encoded):
        try:
            body = cobs.decode(encoded)
        except cobs.DecodeError:
            return self.nak(1)
        if len(body) < 22 or zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
            return self.nak(1)
        kind, opcode = body[1], body[2]
        session, sequence = (int.from_bytes(body[at : at + 4], "little") for at in (4, 8))
        index, count = (int.from_bytes(body[at : at + 2], "little") for at in (12, 14))
        payload = body[18:-4]
        if kind == 6:
            return self.sync(session, payload)
        if session != self.session:
            return self.frame(5, 0, 0, b"\x04" + bytes(6), session=session) if kind == 1 else b""
        if kind == 4:
            return self.credit(sequence, int.from_bytes(payload, "little"))
        if sequence <= self.last:
            return self.replay(sequence) if index == count - 1 else b""
        if sequence != self.last + 1 or index > len(self.parts):
            return self.nak(2)
        if index < len(self.parts):
            return b""
        self.naked = False
        self.parts.append(payload)
        if len(self.parts) < count:
            if len(self.parts) % -(-self.window // 2):
                return b""
            return self.frame(4, 0, sequence, len(self.parts).to_bytes(2, "little"))
        request, self.parts = b"".join(self.parts), []
        self.last = sequence
        self.cache[sequence] = self.execute(sequence, opcode, request)
        return self.start(sequence, 0)

    def nak(self, reason):
        if self.naked or not self.session:
            return b""
        self.naked = True
        where = (self.last + 1).to_bytes(4, "little") + len(self.parts).to_bytes(2, "little")
        return self.frame(5, 0, 0, bytes([reason]) + where)

    def sync(self, nonce, payload):
        self.host_window = int.from_bytes(payload[2:4], "little")
        previous = int.from_bytes(payload[4:8], "little")
        continued = bool(self.session) and (previous == self.session or nonce == self.session)
        if not continued:
            self.last, self.outputs = 0, False
            self.cache.clear()
        self.session, self.naked, self.parts, self.sending = nonce, False, [], []
        answer = bytes([1, continued]) + self.window.to_bytes(2, "little") + self.last.to_bytes(4, "little")
        answer += (
            self.boot.to_bytes(4, "little") + self.max_request.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little")
        )
        return self.frame(7, 0, 0, answer + (16).to_bytes(2, "little"))

    def execute(self, sequence, opcode, request):
        if self.busy:
            self.busy -= 1
            return 3, opcode, b"\x13\x00" + (1).to_bytes(4, "little") + b"\x04\x00busy"
        self.executed.append((sequence, opcode, request))
        if opcode == Opcode.PULSE:
            self.pulses[request] += 1
        if opcode == Opcode.ARM:
            self.outputs = True
        if opcode == Opcode.HEARTBEAT:
            return 3, opcode, b"\x10\x00" + bytes(4) + b"\x0b\x00outputs off"
        return 2, opcode, request

    def replay(self, sequence):
        return (
            self.start(sequence, 4) if sequence in self.cache else self.frame(3, 0x0C, sequence, b"\x05\0" + bytes(6))
        )

    def start(self, sequence, flags):
        self.sending = [waiting for waiting in self.sending if waiting[0] != sequence]
        self.sending.append([sequence, 0, 0, flags])
        return self.send_more()

    def credit(self, sequence, taken):
        for waiting in self.sending:
            if waiting[0] == sequence:
                waiting[2] = max(waiting[2], min(taken, waiting[1]))
        return self.send_more()

    def send_more(self):
        """Answers go out in order (4.4): one that waits for credit holds back the next."""
        out = []
        while self.sending:
            sequence, sent, taken, flags = self.sending[0]
            kind, opcode, reply = self.cache[sequence]
            count = max(1, -(-len(reply) // FULL))
            for index in range(sent, min(count, taken + self.host_window)):
                piece = reply[FULL * index : FULL * (index + 1)]
                out.append(self.frame(kind, opcode, sequence, piece, index, count, flags))
                self.sending[0][1] = index + 1
            if self.sending[0][1] < count:
                break
            self.sending.pop(0)
        return b"".join(out)

    def power_cycle(self):
        self.session = self.last = 0
        self.boot += 1
        self.outputs = False
        self.cache.clear()
        self.parts = []


@pytest.fixture
def device():
    return TextbookDevice()


@pytest.fixture
def link(device):
    link = FramedLink(Loopback(device.feed), owner="test", window=3)
    link.open()
    return link


@pytest.mark.parametrize("size", [0, 1, FULL - 1, FULL, FULL + 1, 10 * FULL, 200_001])
@pytest.mark.parametrize("byte", [0x00, 0x0A, 0xFF, None])
def test_payload_of_any_size_and_bytes_comes_back(link, size, byte):
    payload = random.Random(size).randbytes(size) if byte is None else bytes([byte]) * size
    assert link.transact(Opcode.ECHO, payload) == payload
    assert link.counts.resent == 0 and link.counts.damaged == 0


def test_requests_are_sent_ahead_and_answered_in_order(link, device):
    payloads = [bytes([n]) * (n * 1500) for n in range(12)]
    assert link.transact_all([(Opcode.ECHO, p) for p in payloads]) == payloads
    assert [sequence for sequence, _, _ in device.executed] == list(range(1, 13))


def test_refusal_names_verb_code_and_the_devices_words(link):
    with pytest.raises(DeviceFault, match=r"HEARTBEAT was refused with error 16 \(NOT_ARMED: outputs off\)") as caught:
        link.transact(Opcode.HEARTBEAT)
    assert caught.value.code == 0x10
    assert link.transact(Opcode.ECHO, b"still there") == b"still there"


def test_busy_device_is_asked_again_as_a_new_transaction(link, device):
    device.busy = 3
    assert link.transact(Opcode.PULSE, b"cell") == b"cell"
    assert device.pulses == {b"cell": 1}
    device.busy = 10**9
    with pytest.raises(Busy, match="PULSE"):
        link.transact(Opcode.PULSE, b"cell", 0.02)


def test_request_longer_than_the_device_takes_is_refused_here():
    link = FramedLink(Loopback(TextbookDevice(max_request=100).feed))
    link.open()
    with pytest.raises(OutOfRange, match="ECHO of 101 bytes: the device takes requests of 100"):
        link.transact(Opcode.ECHO, bytes(101))


def test_output_and_trip_flags_of_every_frame_are_seen(link, device):
    link.transact(Opcode.ARM)
    assert link.flags & DeviceFlag.OUTPUTS_ON
    device.outputs = False
    link.transact(Opcode.ECHO)
    assert not link.flags & DeviceFlag.OUTPUTS_ON


def test_restarted_device_is_never_gone_on_with(link, device):
    link.transact(Opcode.ARM)
    device.power_cycle()
    for _ in range(3):
        with pytest.raises(LinkLost, match=r"[Ss]tart again"):
            link.transact(Opcode.ECHO, b"x")
    assert [opcode for _, opcode, _ in device.executed] == [Opcode.ARM]


def test_silent_device_times_out_at_its_deadline(link, device, takes_less_than):
    device.feed = lambda data: b""
    dead = FramedLink(Loopback(lambda data: device.feed(data)))

    def open_it():
        with pytest.raises(LinkTimeout):
            dead.open(0.2)

    takes_less_than(0.25, open_it)


def test_unused_link_says_that_no_session_is_open(device):
    with pytest.raises(LinkLost, match="no session"):
        FramedLink(Loopback(device.feed)).transact(Opcode.ECHO)


class Faults:
    """A wire that drops, doubles, damages, splits, holds back, and adds garbage, in both directions."""

    def __init__(self, device, seed, rate):
        self.device, self.random, self.rate, self.count = device, random.Random(seed), rate, 0
        self.held = b""

    def spoil(self, data):
        out = b""
        for frame in data.split(b"\0"):
            if not frame:
                continue
            whole = frame + b"\0"
            if self.random.random() >= self.rate:
                out += whole
                continue
            self.count += 1
            kind = self.random.randrange(6)
            if kind == 1:
                out += whole + whole
            elif kind == 2:
                at = self.random.randrange(len(frame))
                out += frame[:at] + bytes([frame[at] ^ (1 << self.random.randrange(8))]) + frame[at + 1 :] + b"\0"
            elif kind == 3:
                out += frame[: self.random.randrange(len(frame))] + b"\0"
            elif kind == 4:
                out += self.random.randbytes(self.random.randrange(1, 40)) + whole
            elif kind == 5:
                self.held += whole
        return out

    def feed(self, data):
        late, self.held = self.held, b""
        return late + self.spoil(self.device.feed(self.spoil(data)))


def campaign(seed, faults, rate=0.05):
    device = TextbookDevice()
    wire = Faults(device, seed, rate)
    link = FramedLink(Loopback(wire.feed), window=4)
    link.open(5.0)
    choose, asked = random.Random(seed + 1), Counter()
    while wire.count < faults:
        number = link.counts.transactions
        if choose.random() < 0.5:
            payload = number.to_bytes(4, "little")
            assert link.transact(Opcode.PULSE, payload, 5.0) == payload
            asked[payload] += 1
        elif choose.random() < 0.5:
            payload = choose.randbytes(choose.randrange(20_000))
            assert link.transact(Opcode.ECHO, payload, 5.0) == payload
        else:
            many = [choose.randbytes(choose.randrange(9000)) for _ in range(5)]
            assert link.transact_all([(Opcode.ECHO, p) for p in many], 5.0) == many
    assert device.pulses == asked
    return link


def test_a_thousand_faults_give_no_wrong_value_and_no_lost_or_doubled_pulse():
    link = campaign(seed=3, faults=1000)
    assert link.counts.syncs > 10 and link.counts.damaged > 10 and link.counts.resent > 100


class Patient(Loopback):
    """A wire that waits until the deadline of a read, as real ones do; `talk` is what comes of itself meanwhile."""

    talk = b""

    def read_some(self, deadline):
        try:
            return super().read_some(deadline)
        except LinkTimeout:
            threading.Event().wait(min(0.02 if self.talk else 60.0, max(0.0, deadline - time.monotonic())))
            if self.talk and time.monotonic() < deadline:
                return self.talk
            raise


@pytest.mark.parametrize("trouble", ["lost request", "lost reply", "busy", "old frames"])
def test_watchdog_is_fed_while_an_answer_is_waited_for(device, trouble):
    heard, left, watchdog_s = [], [trouble], 0.6

    def feed(data):
        heard.append(time.monotonic())
        if b"question" not in data or not left:
            return device.feed(data)
        left.clear()
        if trouble == "busy":
            device.last += 1
            return device.frame(3, Opcode.ECHO, device.last, b"\x13\x00" + (1000).to_bytes(4, "little") + b"\0\0")
        if trouble == "lost reply":
            device.feed(data)
        return b""

    wire = Patient(feed)
    link = FramedLink(wire)
    link.open()
    wire.talk = device.frame(2, 9, 0, session=99) if trouble == "old frames" else b""
    link.alive.watched(watchdog_s)
    assert link.transact(Opcode.ECHO, b"question", 5.0, 1.0) == b"question"
    assert not left and heard[-1] - heard[0] > watchdog_s, "it took longer than the watchdog"
    assert max(after - before for before, after in itertools.pairwise(heard)) < watchdog_s
    assert [payload for *_, payload in device.executed] == [b"question"]


@pytest.mark.parametrize(("each_s", "together"), [(0.1, 4), (0.3, 1), (0.001, 20)])
def test_a_lost_request_is_missed_after_what_is_under_way_with_it_and_no_later(device, each_s, together):
    waits = []

    class Lost(FramedLink):
        def transact_all(self, requests, timeout_s, answer_s, most, ahead):
            waits.append((timeout_s, answer_s))
            raise LinkTimeout("lost")

    request = Product(0, 0, 255, False, np.zeros((1, 4), np.uint8), 1)
    with pytest.raises(LinkTimeout):
        Framed(Lost(Loopback(device.feed)), timeout_s=10.0).product([request] * 20, [each_s] * 20)
    ((timeout_s, answer_s),) = waits
    assert together * each_s < answer_s <= 0.5 + 2 * together * each_s + 1e-9
    assert timeout_s >= 10.0 + 20 * each_s


def test_late_answer_is_never_taken_for_the_next_one(device):
    late = []

    def feed(data):
        answer = device.feed(data)
        if late is not None and b"A-question" in data:
            late.append(answer)
            return b""
        out = b"".join(late) + answer
        late.clear()
        return out

    link = FramedLink(Loopback(feed))
    link.open()
    late.clear()
    with pytest.raises(LinkTimeout, match="whether it was done is unknown"):
        held = link.transact
        device_feed, device.feed = device.feed, lambda data: (late.append(device_feed(data)), b"")[1]
        held(Opcode.ECHO, b"A-question", 0.05)
    device.feed = device_feed
    assert link.transact(Opcode.ECHO, b"B-question") == b"B-question"


def test_interrupted_transaction_leaves_the_link_usable_and_the_pulse_single(device):
    calls = []

    def feed(data):
        answer = device.feed(data)
        if len(calls) == 1:
            calls.append("interrupted")
            raise KeyboardInterrupt
        return answer

    link = FramedLink(Loopback(feed))
    link.open()
    calls.append("armed")
    with pytest.raises(KeyboardInterrupt):
        link.transact(Opcode.PULSE, b"once")
    assert link.transact(Opcode.ECHO, b"after") == b"after"
    assert device.pulses == {b"once": 1}


def test_answer_that_does_not_parse_is_a_protocol_violation(device):
    device.sync = lambda nonce, payload: device.frame(7, 0, 0, b"\x01", session=nonce)
    with pytest.raises(ProtocolViolation, match="SYNC does not parse"):
        FramedLink(Loopback(device.feed)).open(0.1)


def test_device_of_another_version_is_refused(device):
    device.sync = lambda nonce, payload: device.frame(7, 0, 0, bytes([0, 0, 2, 0]) + bytes(18), session=nonce)
    with pytest.raises(ProtocolViolation, match="no protocol version"):
        FramedLink(Loopback(device.feed)).open(0.1)


def test_noise_without_end_is_bounded_and_reported():
    def noise(data):
        return b"\xff" * 10_000

    with pytest.raises((LinkTimeout, CorruptFrame)):
        FramedLink(Loopback(noise)).open(0.05)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_faults_give_no_wrong_value_and_no_lost_or_doubled_pulse(seed):
    campaign(seed, faults=10_000, rate=0.01 * (1 + seed))
