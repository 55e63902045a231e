import numpy as np
import pytest

from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import messages
from firmware_specs.codes import DeviceFlag, ErrorCode, Kind, NakReason, Opcode
from firmware_specs.fragments import cut
from firmware_specs.frame import MAX_PAYLOAD, Decoder, Frame, encode
from firmware_specs.messages import Credit, Nak, Pulse, Refusal, Region, Sync, Synced

NONCE = 0x1234

WINDOW = 32


class Host:
    """The host's end in a few lines, frame by frame."""

    def __init__(self, endpoint, session=NONCE):
        self.endpoint = endpoint
        self.session = session
        self._decoder = Decoder()

    def send(self, *frames):
        return self._decoder.feed(self.endpoint.feed(b"".join(encode(frame) for frame in frames)))

    def sync(self, previous=0, window=64):
        frame = Frame(Kind.SYNC, 0, 0, self.session, 0, payload=Sync(window, previous, "test").pack())
        (answer,) = self.send(frame)
        assert (answer.kind, answer.session) == (Kind.SYNCED, self.session)
        return Synced.parse(answer.payload)

    def request(self, opcode, sequence, payload=b""):
        return cut(Kind.REQUEST, opcode, 0, self.session, sequence, payload)

    def ask(self, opcode, sequence, payload=b""):
        (answer,) = self.send(*self.request(opcode, sequence, payload))
        return answer


@pytest.fixture
def host(machine):
    host = Host(SerialEndpoint(machine, "serial"))
    host.sync()
    return host


def nak_of(frame):
    assert frame.kind == Kind.NAK
    return Nak.parse(frame.payload)


def test_nothing_but_sync_is_understood_before_a_session(machine):
    host = Host(SerialEndpoint(machine, "serial"))
    assert nak_of(host.ask(Opcode.IDENTIFY, 1)).reason == NakReason.NO_SESSION
    assert host.endpoint.feed(b"rubbish\0\0\0rubbish\0") == b""
    assert host.sync() == Synced(1, False, WINDOW, 0, 7, 1 << 26, 1 << 26, 2 * WINDOW)
    assert host.ask(Opcode.IDENTIFY, 1).kind == Kind.REPLY


def test_a_sync_without_a_common_version_opens_nothing(machine):
    host = Host(SerialEndpoint(machine, "serial"))
    (answer,) = host.send(Frame(Kind.SYNC, 0, 0, 5, 0, payload=Sync(4, lowest=2, highest=3).pack()))
    assert Synced.parse(answer.payload).version == 0 and host.endpoint.session == 0


def test_a_request_is_executed_once_however_often_it_comes(host, device):
    first = host.ask(Opcode.ECHO, 1, b"abc")
    again = host.ask(Opcode.ECHO, 1, b"abc")
    assert again == first._replace(flags=first.flags | DeviceFlag.REPLAYED)
    assert device.transactions == 1


def test_a_duplicate_whose_reply_is_gone_is_stale_and_not_executed(host, device):
    for sequence in range(1, 2 * WINDOW + 2):
        host.ask(Opcode.ECHO, sequence)
    answer = host.ask(Opcode.ECHO, 1)
    assert Refusal.parse(answer.payload).code == ErrorCode.STALE and device.transactions == 2 * WINDOW + 1


def test_a_request_ahead_of_its_turn_is_not_executed_and_one_nak_says_what_is_expected(host, device):
    answers = host.send(*host.request(Opcode.ECHO, 2), *host.request(Opcode.ECHO, 3))
    assert [nak_of(a) for a in answers] == [Nak(NakReason.GAP, 1, 0)] and device.transactions == 0
    answers = host.send(*(f for n in (1, 2, 3) for f in host.request(Opcode.ECHO, n)))
    assert [a.sequence for a in answers] == [1, 2, 3]


def test_a_damaged_frame_is_reported_and_has_no_effect(host, device):
    data = bytearray(encode(host.request(Opcode.ECHO, 1, b"payload")[0]))
    data[25] ^= 4
    (answer,) = Decoder().feed(host.endpoint.feed(bytes(data)))
    assert nak_of(answer) == Nak(NakReason.DAMAGED, 1, 0)
    assert device.transactions == 0 and device.damaged == 1


def test_frames_of_a_long_request_get_credit_and_gaps_are_named(host):
    message = np.random.default_rng(0).bytes((WINDOW + 4) * MAX_PAYLOAD)
    parts = host.request(Opcode.ECHO, 1, message)
    answers = host.send(*parts[:WINDOW])
    assert [Credit.parse(a.payload).next for a in answers] == [WINDOW // 2, WINDOW]
    (answer,) = host.send(parts[WINDOW + 1])
    assert nak_of(answer) == Nak(NakReason.GAP, 1, WINDOW)
    assert host.send(parts[3]) == []
    replies = host.send(*parts[WINDOW:])
    assert b"".join(reply.payload for reply in replies) == message


def test_a_long_reply_waits_for_credit_and_goes_on_after_it(machine):
    host = Host(SerialEndpoint(machine, "serial"))
    host.sync(window=4)
    message = bytes(10 * MAX_PAYLOAD)
    sent = host.send(*host.request(Opcode.ECHO, 1, message))
    assert [f.part for f in sent if f.kind == Kind.REPLY] == [0, 1, 2, 3]
    more = host.send(Frame(Kind.CREDIT, 0, 0, NONCE, 1, payload=Credit(4).pack()))
    assert [f.part for f in more] == [4, 5, 6, 7]
    assert host.send(Frame(Kind.CREDIT, 0, 0, NONCE, 1, payload=Credit(4).pack())) == []
    again = host.send(host.request(Opcode.ECHO, 1, message)[-1])
    assert [f.part for f in again] == [0, 1, 2, 3] and again[0].flags & DeviceFlag.REPLAYED


def test_a_continued_session_keeps_its_numbers_and_replies_under_the_new_nonce(host, device):
    first = host.ask(Opcode.ECHO, 1, b"abc")
    host.session = 99
    synced = host.sync(previous=NONCE)
    assert (synced.continued, synced.last) == (True, 1)
    again = host.ask(Opcode.ECHO, 1, b"abc")
    assert (again.session, again.payload) == (99, first.payload) and device.transactions == 1
    host.session = NONCE
    assert nak_of(host.ask(Opcode.ECHO, 2)).reason == NakReason.NO_SESSION


def test_a_new_session_turns_outputs_off_and_a_continued_one_does_not(host, device):
    host.ask(Opcode.WATCHDOG, 1, messages.pack_number(2.0))
    assert host.ask(Opcode.ARM, 2).flags & DeviceFlag.OUTPUTS_ON
    host.session = 98
    host.sync(previous=NONCE)
    assert device.outputs.on
    host.session = 97
    assert not host.sync().continued and not device.outputs.on


def test_after_a_reset_the_session_is_over_and_the_boot_number_another(host):
    assert host.ask(Opcode.RESET, 1).kind == Kind.REPLY
    assert nak_of(host.ask(Opcode.ECHO, 2)).reason == NakReason.NO_SESSION
    synced = host.sync(previous=NONCE)
    assert (synced.continued, synced.boot, synced.last) == (False, 8, 0)


def test_a_link_that_closes_while_armed_trips_and_the_session_goes_on(host, device):
    host.ask(Opcode.WATCHDOG, 1, messages.pack_number(2.0))
    host.ask(Opcode.ARM, 2)
    host.endpoint.closed()
    assert not device.outputs.on
    host.session = 55
    assert host.sync(previous=NONCE).continued
    assert host.ask(Opcode.ARM, 3).kind == Kind.ERROR


def test_a_request_too_long_is_refused_at_its_first_frame(host):
    frame = Frame(Kind.REQUEST, Opcode.ECHO, 0, NONCE, 1, 0, 65535, bytes(MAX_PAYLOAD))
    (answer,) = host.send(frame)
    assert Refusal.parse(answer.payload).code == ErrorCode.TOO_LARGE


def test_kinds_only_a_device_sends_count_as_damage(host, device):
    host.send(Frame(Kind.REPLY, 1, 0, NONCE, 1))
    assert device.damaged == 1


def test_errors_are_replies_and_use_up_their_number(host):
    answer = host.ask(Opcode.PULSE, 1, Pulse(Region(0, 0, 0, 0, 1, 0, 1), True, 1.0, 1e-6, 1).pack())
    assert answer.kind == Kind.ERROR and answer.opcode == Opcode.PULSE
    assert host.ask(Opcode.ECHO, 2).kind == Kind.REPLY


def test_traffic_after_the_watchdog_ran_out_does_not_revive_the_outputs(host, device, clock):
    host.ask(Opcode.WATCHDOG, 1, messages.pack_number(1.0))
    host.ask(Opcode.ARM, 2)
    clock.now += 1.01
    assert host.ask(Opcode.HEARTBEAT, 3).flags & DeviceFlag.TRIPPED and not device.outputs.on
