"""Firmware whose serial link has one defect each: the suite finds every one of them.

A defect is a function that breaks a sound endpoint; beside it stands the group of checks that must notice.
"""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from cobs import cobs

from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from emulator import machine as firmware
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from emulator.verbs import VERBS
from firmware_specs.codes import DeviceFlag, ErrorCode, Kind, NakReason, Opcode, State
from firmware_specs.datasheet import load
from firmware_specs.frame import Decoder, Frame, encode
from firmware_specs.messages import LimitsRecord, MalformedError, SettleReply, Sync, WriteCells
from firmware_specs.messages.packing import Reader
from hil.conformance.suite import SERIAL


def set_verb(end, opcode, new):
    able = end.machine._able
    able[int(opcode)] = (*able[int(opcode)][:2], new)


def wrong_crc(end, patch):
    feed = end.feed

    def damaged(data):
        out = feed(data)
        pieces = [cobs.decode(p) for p in out.split(b"\0") if p]
        return b"".join(cobs.encode(p[:-4] + bytes([p[-4] ^ 1]) + p[-3:]) + b"\0" for p in pieces)

    end.feed = damaged


def crc_not_checked(end, patch):
    class Lenient(Decoder):
        def feed(self, data):
            whole = []
            for piece in data.split(b"\0"):
                try:
                    body = cobs.decode(piece)
                except cobs.DecodeError:
                    body = b""
                sound = body[:-4] + zlib.crc32(body[:-4]).to_bytes(4, "little")
                whole.append(cobs.encode(sound) if len(body) >= 22 else piece)
            return super().feed(b"\0".join(whole))

    end._decoder = Lenient()


def stale_reply(end, patch):
    finish, kept = end._finish, []

    def previous(frame, answer):
        kept.append(answer)
        finish(frame, kept[-2] if len(kept) > 1 else answer)

    end._finish = previous


def watchdog_trips_late(end, patch):
    outputs = end.machine.device.outputs
    sound = outputs.set_watchdog
    outputs.set_watchdog = lambda seconds: sound(2 * seconds)


def noise_feeds_the_watchdog(end, patch):
    damaged = end._damaged

    def feeding(reason):
        end.machine.device.outputs.feed(end.door)
        damaged(reason)

    end._damaged = feeding


def new_session_keeps_outputs_on(end, patch):
    device = end.machine.device
    sound = device.disarm
    device.disarm = lambda why: None if why.startswith("new session") else sound(why)


def armed_is_not_checked(end, patch):
    patch.setattr(Machine, "_check_state", lambda self, verb, rule, door: None)


def reset_keeps_boot(end, patch):
    device = end.machine.device
    sound = device.restart

    def restart():
        boot = device.boot
        sound()
        device.boot = boot

    device.restart = restart


def limits_grow_while_armed(end, patch):
    sound = VERBS[Opcode.SET_LIMITS]

    def careless(device, payload, door):
        state, device.outputs.state = device.outputs.state, State.SAFE
        try:
            return sound(device, payload, door)
        finally:
            device.outputs.state = state

    set_verb(end, Opcode.SET_LIMITS, careless)


def limits_above_absolute(end, patch):
    def careless(device, payload, door):
        device.active = LimitsRecord.parse(payload)
        return device.active.pack()

    set_verb(end, Opcode.SET_LIMITS, careless)


def duplicates_executed(end, patch):
    end._replay = lambda frame: end._finish(frame, end._execute(frame.opcode, frame.payload))


def replayed_flag_missing(end, patch):
    queue = end._queue
    end._queue = lambda sequence, answer, flags: queue(sequence, answer, type(flags)(0))


def gaps_executed(end, patch):
    request = end._request

    def jumping(frame):
        if frame.sequence > end._last + 1 and frame.parts == 1:
            end._last = frame.sequence - 1
        request(frame)

    end._request = jumping


def foreign_sessions_executed(end, patch):
    take = end._take

    def trusting(frame):
        take(frame._replace(session=end.session) if frame.kind == Kind.REQUEST else frame)

    end._take = trusting


def continued_forgets(end, patch):
    sync = end._sync

    def forgetful(frame):
        end.session = 0
        sync(frame)

    end._sync = forgetful


def credit_never_sent(end, patch):
    send = end._send
    end._send = lambda frame: None if frame.kind == Kind.CREDIT else send(frame)


def storm_of_naks(end, patch):
    end._nak_once = lambda reason: end._nak(reason, end._last + 1, 0, end.session)


def no_nak(end, patch):
    end._nak_once = lambda reason: None


def chatter(end, patch):
    feed = end.feed
    beat = encode(Frame(Kind.REPLY, Opcode.HEARTBEAT, 0, 1, 1))
    end.feed = lambda data: feed(data) + beat


def newline_translation(end, patch):
    sound = VERBS[Opcode.ECHO]
    set_verb(end, Opcode.ECHO, lambda device, p, door: sound(device, p.replace(b"\n", b"\r"), door))


def buffer_without_bound(end, patch):
    class Unbounded(Decoder):
        def feed(self, data):
            return super().feed(b"\0".join(piece[-30:] for piece in data.split(b"\0")))

    end._decoder = Unbounded()


def reply_cache_too_small(end, patch):
    finish = end._finish

    def forgetful(frame, answer):
        finish(frame, answer)
        while len(end._cache) > 3:
            del end._cache[next(iter(end._cache))]

    end._finish = forgetful


def wrong_error_code(end, patch):
    sound = Machine.execute

    def confused(self, opcode, payload, door):
        try:
            return sound(self, opcode, payload, door)
        except firmware.Refused as refused:
            raise firmware.Refused(ErrorCode.OUT_OF_RANGE, str(refused), refused.detail) from refused

    patch.setattr(Machine, "execute", confused)


def surplus_payload_accepted(end, patch):
    patch.setattr(firmware, "WITHOUT_PAYLOAD", frozenset())


def rows_written_as_columns(end, patch):
    program = end.machine.device.chip.program

    def transposed(array, targets, masks):
        return program(array, [t.flatten(1).flip(1).view_as(t) for t in targets], masks)

    end.machine.device.chip.program = transposed


def planes_swapped(end, patch):
    program = end.machine.device.chip.program

    def swapped(array, targets, masks):
        return program(array, [t.flip(0) for t in targets], [m.flip(0) for m in masks])

    end.machine.device.chip.program = swapped


def write_in_part(end, patch):
    sound = VERBS[Opcode.WRITE_CELLS]

    def eager(device, payload, door):
        request = WriteCells.parse(payload)
        for item in request.patches:
            reply = sound(device, replace(request, patches=(item,)).pack(), door)
        return reply

    set_verb(end, Opcode.WRITE_CELLS, eager)


def chip_settles(end, change):
    """Changes what the chip is asked or says."""
    chip = end.machine.device.chip
    sound = chip.settle
    chip.settle = lambda array, drive, nudges=(), *rest, **more: change(sound, array, drive, nudges, *rest, **more)


def nudge_ignored(end, patch):
    chip_settles(end, lambda settle, a, d, n, *r, **m: settle(a, d, [0 * x for x in n], *r, **m))


def nudge_halved(end, patch):
    chip_settles(end, lambda settle, a, d, n, *r, **m: settle(a, d, [0.3 * x for x in n], *r, **m))


def samples_reversed(end, patch):
    chip_settles(end, lambda settle, a, d, n, *r, **m: settle(a, d.flip(0), [x.flip(0) for x in n], *r, **m))


def free_phase_is_nudged(end, patch):
    def change(settle, array, drive, nudges, *rest, **more):
        readings = settle(array, drive, nudges, *rest, **more)
        return (readings[-1], *readings[1:])

    chip_settles(end, change)


def layers_in_own_order(end, patch):
    sound = VERBS[Opcode.SETTLE]

    def stubborn(device, payload, door):
        reply = SettleReply.parse(sound(device, payload, door))
        return replace(reply, states=tuple(sorted(reply.states, key=lambda s: -s.shape[-1]))).pack()

    set_verb(end, Opcode.SETTLE, stubborn)


def drive_negated(end, patch):
    chip_settles(end, lambda settle, a, d, n, *r, **m: settle(a, -d, n, *r, **m))


def replies_keep_their_flags(end, patch):
    queue = end._queue
    end._queue = lambda sequence, answer, flags: queue(
        sequence, answer, flags | (DeviceFlag.OUTPUTS_ON if flags else 0)
    )


def any_previous_is_continued(end, patch):
    sync = end._sync

    def trusting(frame):
        end.session = Sync.parse(frame.payload).previous or end.session
        sync(frame)

    end._sync = trusting


def any_session_feeds_the_watchdog(end, patch):
    take = end._take

    def feeding(frame):
        end.machine.device.outputs.feed(end.door)
        take(frame)

    end._take = feeding


def the_host_s_window_is_ignored(end, patch):
    sync = end._sync

    def eager(frame):
        sync(frame)
        end._host_window = 1000

    end._sync = eager


def every_frame_of_a_duplicate_is_answered(end, patch):
    request = end._request

    def chatty(frame):
        if frame.sequence <= end._last and frame.part < frame.parts - 1:
            end._replay(frame)
        request(frame)

    end._request = chatty


def closing_is_not_seen(end, patch):
    end.closed = lambda: None


def limits_of_any_sign(end, patch):
    set_verb(end, Opcode.SET_LIMITS, lambda device, payload, door: payload)


def owner_is_not_told(end, patch):
    sync = end._sync

    def forgetful(frame):
        sync(frame)
        end.machine.device.owner = ""

    end._sync = forgetful


def session_outlives_version_0(end, patch):
    sync = end._sync

    def clinging(frame):
        before = end.session, end._last
        sync(frame)
        if not end.session:
            end.session, end._last = before

    end._sync = clinging


def outputs_outlive_version_0(end, patch):
    device = end.machine.device
    sync, sound = end._sync, device.disarm

    def clinging(frame):
        request = Sync.parse(frame.payload)
        device.disarm = sound if request.lowest == 1 else lambda why: None
        sync(frame)

    end._sync = clinging


def nak_of_no_session(end, patch):
    nak = end._nak
    end._nak = lambda reason, sequence, part, session: nak(reason, sequence, part, 0)


def nak_for_every_frame_of_a_stranger(end, patch):
    end._no_session = lambda frame: end._nak(NakReason.NO_SESSION, 0, 0, frame.session)


def credit_after_a_whole_window(end, patch):
    advance = end._advance

    def late(assembly, frame):
        if assembly.next - end._credit_at < end._window and not assembly.complete:
            before, end._credit_at = end._credit_at, assembly.next
            advance(assembly, frame)
            end._credit_at = before
        else:
            advance(assembly, frame)

    end._advance = late


def host_window_of_small_hosts_is_ignored(end, patch):
    sync = end._sync

    def eager(frame):
        sync(frame)
        end._host_window = max(end._host_window, 4)

    end._sync = eager


def credit_does_not_feed(end, patch):
    take = end._take

    def sparing(frame):
        outputs = end.machine.device.outputs
        fed = outputs._fed_at
        take(frame)
        if frame.kind == Kind.CREDIT:
            outputs._fed_at = fed

    end._take = sparing


def malformed_sync_is_taken(end, patch):
    sync = end._sync

    def lenient(frame):
        sync(frame._replace(payload=Sync(8, owner="hil conform").pack()))

    end._sync = lenient


def short_frames_are_taken(end, patch):
    request = end._request

    def padding(frame):
        whole = frame.payload.ljust(4056, b"\0") if frame.part < frame.parts - 1 else frame.payload
        request(frame._replace(payload=whole))

    end._request = padding


def stale_is_flagged_as_replayed(end, patch):
    queue = end._queue
    end._queue = lambda sequence, answer, flags: queue(
        sequence, answer, flags | (DeviceFlag.REPLAYED if answer.payload[:2] == b"\x05\0" else 0)
    )


def the_rest_of_a_reply_comes_after_a_sync(end, patch):
    end._drop_traffic = lambda: None
    sync = end._sync

    def going_on(frame):
        sync(frame)
        if Sync.parse(frame.payload).previous:
            end._host_window = 100

    end._sync = going_on


def details_are_counted_from_the_field(end, patch):
    sound = VERBS[Opcode.CONFIGURE]

    def off_by_two(device, payload, door):
        try:
            return sound(device, payload, door)
        except MalformedError as error:
            raise MalformedError(error.offset - 2, "from the topology on") from error

    set_verb(end, Opcode.CONFIGURE, off_by_two)


def a_shape_is_a_field_for_each_size(end, patch):
    def each(self, kind, count, lowest=0):
        return tuple(self.uint(kind, lowest) for _ in range(count))

    patch.setattr(Reader, "uints", each)


def any_rank_is_taken(end, patch):
    def lenient(device, payload, door):
        return b"\x01\0" + bytes(8)

    set_verb(end, Opcode.CONFIGURE, lenient)


def overlapping_patches_are_written(end, patch):
    sound = VERBS[Opcode.WRITE_CELLS]

    def each(device, payload, door):
        patch.setattr("firmware_specs.messages.cells.Covered.add", lambda self, region: False)
        return sound(device, payload, door)

    set_verb(end, Opcode.WRITE_CELLS, each)


def half_a_pulse_is_a_limit(end, patch):
    sound = VERBS[Opcode.SET_LIMITS]

    def rounding(device, payload, door):
        values = np.frombuffer(payload, "<f8").copy()
        values[4] = np.floor(values[4])
        return sound(device, values.tobytes(), door)

    set_verb(end, Opcode.SET_LIMITS, rounding)


def replies_of_any_length(end, patch):
    end.machine.device.check_reply = lambda size: None
    settle = VERBS[Opcode.SETTLE]

    def long(device, payload, door):
        return bytes(100) if len(payload) > 100_000 else settle(device, payload, door)

    set_verb(end, Opcode.SETTLE, long)


DEFECTS = {
    owner_is_not_told: "sessions.owner",
    session_outlives_version_0: "sessions.closed",
    outputs_outlive_version_0: "sessions.closed",
    nak_of_no_session: "framing.crc",
    nak_for_every_frame_of_a_stranger: "sessions.one-nak",
    credit_after_a_whole_window: "messages.credit",
    host_window_of_small_hosts_is_ignored: "messages.host-window",
    credit_does_not_feed: "watchdog.credit",
    malformed_sync_is_taken: "sessions.malformed",
    short_frames_are_taken: "messages.contradicting",
    stale_is_flagged_as_replayed: "transactions.stale",
    the_rest_of_a_reply_comes_after_a_sync: "messages.sync",
    details_are_counted_from_the_field: "errors.topology-fields",
    a_shape_is_a_field_for_each_size: "errors.topology-fields",
    any_rank_is_taken: "errors.topology-fields",
    overlapping_patches_are_written: "errors.overlap",
    half_a_pulse_is_a_limit: "limits.whole",
    replies_of_any_length: "errors.reply-too-large",
    replies_keep_their_flags: "outputs.true-now",
    any_previous_is_continued: "sessions.other-previous",
    any_session_feeds_the_watchdog: "watchdog.foreign",
    the_host_s_window_is_ignored: "messages.host-window",
    every_frame_of_a_duplicate_is_answered: "messages.late-duplicate",
    closing_is_not_seen: "outputs.link-lost",
    limits_of_any_sign: "limits.signs",
    wrong_crc: "identity.identify",
    crc_not_checked: "framing",
    stale_reply: "identity",
    watchdog_trips_late: "watchdog",
    noise_feeds_the_watchdog: "watchdog",
    new_session_keeps_outputs_on: "sessions",
    armed_is_not_checked: "outputs",
    reset_keeps_boot: "outputs",
    limits_grow_while_armed: "limits",
    limits_above_absolute: "limits",
    duplicates_executed: "transactions",
    replayed_flag_missing: "transactions",
    gaps_executed: "transactions",
    foreign_sessions_executed: "sessions",
    continued_forgets: "sessions",
    credit_never_sent: "messages",
    storm_of_naks: "framing",
    no_nak: "framing.crc",
    chatter: "framing",
    newline_translation: "framing",
    buffer_without_bound: "framing",
    reply_cache_too_small: "transactions",
    wrong_error_code: "errors",
    surplus_payload_accepted: "errors",
    rows_written_as_columns: "cells",
    planes_swapped: "cells",
    write_in_part: "cells",
    nudge_ignored: "settle",
    nudge_halved: "settle",
    samples_reversed: "settle",
    free_phase_is_nudged: "settle",
    layers_in_own_order: "settle",
    drive_negated: "settle",
}


@pytest.mark.parametrize(
    ("defect", "group"),
    [pytest.param(*found, marks=pytest.mark.long if "watchdog" in found[1] else ()) for found in DEFECTS.items()],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_the_suite_finds(defect, group, monkeypatch):
    end = SerialEndpoint(Machine(Device(Chip(load("discrete-board"), seed=1))), "loopback")
    defect(end, monkeypatch)
    wire = Reopenable(lambda: Loopback(lambda data: end.feed(data), "loopback", lambda: end.closed()))
    result = SERIAL.run(wire, SERIAL.select([group]), patience_s=0.05)
    assert not result.conforms


def test_there_are_at_least_25_defects():
    assert len(DEFECTS) >= 25
