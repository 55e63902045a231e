"""Fragments, flow control and pipelining (PROTOCOL.md section 4)."""

from __future__ import annotations

from firmware_specs.codes import DeviceFlag, ErrorCode, Kind, NakReason, Opcode
from firmware_specs.fragments import cut
from firmware_specs.frame import MAX_PAYLOAD, Frame
from firmware_specs.messages import Credit, Refusal, Sync
from hil.conformance.check import Check
from hil.conformance.conversation import OWN_WINDOW, Conversation, Failed, Skipped, demand, parsed
from hil.conformance.subject import FrameSubject

QUIET_S = 0.2
NARROW = 2
"""The smallest window of a host (3.1)."""


def _echo(raw: Conversation, payload: bytes) -> None:
    back = raw.ask(Opcode.ECHO, payload)
    demand(back == payload, f"ECHO of {len(payload)} bytes came back changed")


def _pattern(size: int) -> bytes:
    return bytes((i * 31 + i // 251) % 256 for i in range(size))


def _largest(subject: FrameSubject, frames: int) -> int:
    """Bytes of a message of this many frames that the device takes."""
    size = min(frames * MAX_PAYLOAD, subject.raw.max_request)
    if size <= MAX_PAYLOAD:
        raise Skipped(f"max_request is {size} bytes: no message has two frames")
    return size


def _two_frames(subject: FrameSubject) -> None:
    for size in (MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD - 1, 2 * MAX_PAYLOAD):
        _echo(subject.raw, _pattern(min(size, _largest(subject, 2))))


def _beyond_window(subject: FrameSubject) -> None:
    _echo(subject.raw, _pattern(_largest(subject, 3 * subject.raw.window + 1)))


def _payloads(subject: FrameSubject) -> None:
    size = _largest(subject, 17)
    for byte in (0x00, 0x0A, 0xFF):
        _echo(subject.raw, bytes([byte]) * size)


def _credit(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, 2 * raw.window)
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    if len(frames) <= raw.window:
        raise Skipped("max_request is within the window: no credit is needed")
    half = (raw.window + 1) // 2
    for frame in frames[:half]:
        raw.send_frame(frame)
    frame_back = raw.receive()
    if frame_back is None or frame_back.kind != Kind.CREDIT:
        raise Failed(f"{half} frames of an incomplete message, half a window, were not answered with CREDIT")
    granted = parsed(Credit, frame_back.payload, "CREDIT").next
    demand(granted >= half, f"CREDIT up to {granted} after {half} frames")
    demand(frame_back.sequence == raw.sequence, "CREDIT carries another sequence")


def _gap(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, 2)
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    raw.send_frame(frames[1])
    nak = raw.nak()
    demand(nak.reason == NakReason.GAP, f"NAK reason {nak.reason}, expected 2 (gap)")
    demand((nak.sequence, nak.part) == (raw.sequence, 0), f"NAK names {nak.sequence}.{nak.part}")
    answer = raw.exchange(frames)
    demand(answer.payload == _pattern(size), "the message sent again came back changed")


def _contradicting(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, 2)
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    short = frames[0]._replace(payload=frames[0].payload[:-1])
    for wrong, before in ((short, []), (frames[1]._replace(opcode=int(Opcode.HEARTBEAT)), frames[:1])):
        for frame in (*before, wrong):
            raw.send_frame(frame)
        nak = raw.nak_among_credit()
        demand(nak.reason == NakReason.DAMAGED, f"NAK reason {nak.reason}, expected 1 (damaged)")
        demand(nak.part == len(before), f"NAK names part {nak.part}, expected {len(before)}")
    answer = raw.exchange(frames[1:])
    demand(answer.payload == _pattern(size), "a message among whose frames came wrong ones was changed")


def _sync_meanwhile(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, NARROW + 1)
    if size <= NARROW * MAX_PAYLOAD:
        raise Skipped("no reply has more frames than the narrowest window")
    raw.sync_raw(raw.session, Sync(NARROW, owner="hil conform"))
    first, allowed = raw.sequence + 1, raw.window
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, first, _pattern(size))
    sent = came = 0
    while came < NARROW:
        while sent < min(len(frames), allowed):
            raw.send_frame(frames[sent])
            sent += 1
        frame = raw.receive()
        if frame is None:
            raise Failed(f"{came} frames of a reply came")
        if frame.kind == Kind.CREDIT:
            allowed = parsed(Credit, frame.payload, "CREDIT").next + raw.window
        came += frame.kind == Kind.REPLY
    answer = raw.sync(previous=raw.session)
    demand(answer.continued and answer.last == first, f"continued {answer.continued}, last {answer.last} of {first}")
    raw.silence(0.1)


def _duplicate_frame(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, 2)
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    raw.send_frame(frames[0])
    answer = raw.exchange([frames[0], frames[1]])
    demand(answer.payload == _pattern(size), "a frame sent twice changed the message")


def _late_duplicate(subject: FrameSubject) -> None:
    raw = subject.raw
    size = _largest(subject, 2)
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    first, before = raw.exchange(frames), subject.status.transactions
    raw.send_frame(frames[0])
    raw.silence(0.1)
    again = raw.exchange(frames[-1:])
    demand(again.payload == first.payload, "the last frame of an executed message got another reply")
    demand(bool(again.flags & DeviceFlag.REPLAYED), "the last frame of an executed message got a reply not replayed")
    grown = subject.status.transactions - before
    demand(grown == 1, f"a message of {len(frames)} frames sent again, and STATUS, counted {grown}, expected 1")


def _host_window(subject: FrameSubject) -> None:
    """A host that gives no credit gets its window of frames, and the rest when it does."""
    for window in (OWN_WINDOW, NARROW):
        _held_back(subject, window)
    subject.raw.sync()


def _held_back(subject: FrameSubject, window: int) -> None:
    raw = subject.raw
    size = _largest(subject, 2 * window)
    if size <= window * MAX_PAYLOAD:
        if window == NARROW:
            raise Skipped("max_request is within the narrowest window")
        return
    raw.sync_raw(raw.session, Sync(window, owner="hil conform"))
    raw.sequence += 1
    frames = cut(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, _pattern(size))
    sent, allowed, came = 0, raw.window, 0
    while True:
        while sent < min(len(frames), allowed):
            raw.send_frame(frames[sent])
            sent += 1
        frame = raw.receive(QUIET_S if came >= window else None)
        if frame is None:
            break
        if frame.kind == Kind.CREDIT:
            allowed = parsed(Credit, frame.payload, "CREDIT").next + raw.window
        came += frame.kind == Kind.REPLY
    demand(came == window, f"{came} frames of a reply came without credit, the host's window is {window}")
    raw.send_frame(Frame(Kind.CREDIT, 0, 0, raw.session, raw.sequence, payload=Credit(window).pack()))
    frame = raw.receive()
    demand(frame is not None and frame.part == window, f"part {window} did not come after its CREDIT")
    raw.drain()


def _too_large(subject: FrameSubject) -> None:
    raw = subject.raw
    parts = raw.max_request // MAX_PAYLOAD + 2
    if parts > 0xFFFF:
        raise Skipped("max_request is as large as messages get")
    raw.sequence += 1
    first = Frame(Kind.REQUEST, Opcode.ECHO, 0, raw.session, raw.sequence, 0, parts, bytes(MAX_PAYLOAD))
    raw.send_frame(first)
    frame = raw.receive()
    if frame is None or frame.kind != Kind.ERROR:
        raise Failed("the first frame of a request beyond max_request was not answered with ERROR")
    code = parsed(Refusal, frame.payload, "ERROR").code
    demand(code == ErrorCode.TOO_LARGE, f"refused with 0x{code:02x}, expected TOO_LARGE")
    raw.sync()
    raw.ask(Opcode.IDENTIFY)


def _pipelined(subject: FrameSubject) -> None:
    raw = subject.raw
    count, first = raw.window, raw.sequence + 1
    for i in range(count):
        raw.send_frame(Frame(Kind.REQUEST, Opcode.ECHO, 0, raw.session, first + i, 0, 1, bytes([i])))
    for i in range(count):
        frame = raw.receive()
        if frame is None:
            raise Failed(f"{i} of {count} pipelined requests were answered")
        demand(frame.sequence == first + i, f"answer {i} has sequence {frame.sequence}, expected {first + i}")
        demand(frame.payload == bytes([i]), f"answer {i} carries the payload of another request")
    raw.sequence += count


CHECKS = (
    Check("messages.two-frames", "4.1", "messages of two frames pass both ways", _two_frames),
    Check("messages.beyond-window", "4.3", "messages of three windows pass both ways without a stall", _beyond_window),
    Check("messages.payloads", "1.1", "64 KiB of 0x00, 0x0A and 0xFF pass both ways", _payloads),
    Check("messages.credit", "4.3", "CREDIT comes after half a window of an incomplete message", _credit),
    Check("messages.gap", "5.4", "a missing frame gets NAK 2 that names it, and the message can be sent again", _gap),
    Check("messages.contradicting", "2.6", "a short frame, or one of another opcode, is damaged", _contradicting),
    Check(
        "messages.sync",
        "9.1",
        "a SYNC is answered while a reply waits, whose rest is not sent",
        _sync_meanwhile,
    ),
    Check("messages.duplicate", "5.4", "a frame that came already is ignored", _duplicate_frame),
    Check("messages.late-duplicate", "5.2", "of an executed message only the last frame is answered", _late_duplicate),
    Check("messages.host-window", "4.3", "a reply waits for CREDIT at the host's window", _host_window),
    Check("messages.too-large", "4.2", "a request beyond max_request is refused at its first frame", _too_large),
    Check("messages.pipelined", "4.4", "a window of requests sent at once is answered in order", _pipelined),
)
