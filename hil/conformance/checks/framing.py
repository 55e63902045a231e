"""Frames, sound and damaged (PROTOCOL.md sections 1 and 2)."""

from __future__ import annotations

import zlib

from cobs import cobs

from firmware_specs.codes import VERSION, Kind, NakReason, Opcode
from firmware_specs.frame import CRC, DELIMITER, HEADER, MAX_FRAME, Frame, encode
from hil.conformance.check import Check
from hil.conformance.conversation import Conversation, Failed, demand
from hil.conformance.subject import FrameSubject


def _next(raw: Conversation) -> Frame:
    """The IDENTIFY request that is due next; `raw.sequence` grows only if it is executed."""
    return Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, raw.session, raw.sequence + 1)


def _body(frame: Frame, *, version: int = VERSION, length: int | None = None, crc_flip: int = 0) -> bytes:
    """A frame whose header lies, with a CRC that fits the lie."""
    size = len(frame.payload) if length is None else length
    body = HEADER.pack(version, *frame[:7], size) + frame.payload
    return cobs.encode(body + CRC.pack(zlib.crc32(body) ^ crc_flip)) + DELIMITER


def _not_executed(subject: FrameSubject, data: bytes) -> None:
    """Demands NAK reason 1 for a damaged frame, and that its sequence is still free."""
    raw = subject.raw
    raw.send(data)
    nak = raw.nak()
    demand(nak.reason == NakReason.DAMAGED, f"NAK reason {nak.reason}, expected 1 (damaged)")
    demand(nak.sequence == raw.sequence + 1, f"NAK names sequence {nak.sequence}, expected {raw.sequence + 1}")
    raw.ask(Opcode.IDENTIFY)


def _silent(subject: FrameSubject) -> None:
    subject.raw.silence(0.3)


def _empty(subject: FrameSubject) -> None:
    subject.raw.send(DELIMITER * 7)
    subject.raw.silence(0.1)
    subject.raw.ask(Opcode.IDENTIFY)


def _bytewise(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.sequence += 1
    for byte in encode(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, raw.session, raw.sequence)):
        raw.send(bytes([byte]))
    answer = raw.receive()
    demand(answer is not None and answer.sequence == raw.sequence, "a request sent byte by byte was not answered")


def _crc(subject: FrameSubject) -> None:
    for bit in (0, 7, 16, 31):
        _not_executed(subject, _body(_next(subject.raw), crc_flip=1 << bit))


def _payload_bit(subject: FrameSubject) -> None:
    body = bytearray(cobs.decode(encode(_next(subject.raw))[:-1]))
    body[2] ^= 0x04
    _not_executed(subject, cobs.encode(bytes(body)) + DELIMITER)


def _length(subject: FrameSubject) -> None:
    _not_executed(subject, _body(_next(subject.raw), length=3))


def _version(subject: FrameSubject) -> None:
    _not_executed(subject, _body(_next(subject.raw), version=VERSION + 1))


def _kind(subject: FrameSubject) -> None:
    for kind in (Kind.REPLY, 99):
        _not_executed(subject, _body(_next(subject.raw)._replace(kind=kind)))


def _parts(subject: FrameSubject) -> None:
    _not_executed(subject, _body(_next(subject.raw)._replace(part=1, parts=1)))
    _not_executed(subject, _body(_next(subject.raw)._replace(part=0, parts=0)))


def _cobs(subject: FrameSubject) -> None:
    _not_executed(subject, b"\xff\x01\x02" + DELIMITER)


def _short(subject: FrameSubject) -> None:
    _not_executed(subject, cobs.encode(b"short") + DELIMITER)


def _endless(subject: FrameSubject) -> None:
    _not_executed(subject, b"\x55" * (3 * MAX_FRAME) + DELIMITER)


def _one_nak(subject: FrameSubject) -> None:
    raw = subject.raw
    for _ in range(5):
        raw.send(_body(_next(raw), crc_flip=1))
    raw.nak()
    frame = raw.receive(0.2)
    if frame is not None:
        raise Failed(f"after one NAK another frame of kind {frame.kind} came")
    raw.ask(Opcode.IDENTIFY)


def _every_byte(subject: FrameSubject) -> None:
    for payload in (bytes(range(256)), bytes(1000), b"\xff" * 1000, b"\x0a" * 1000, b"\x11\x13" * 500):
        demand(subject.raw.ask(Opcode.ECHO, payload) == payload, f"ECHO of {payload[:4].hex()}... came back changed")


def _lengths(subject: FrameSubject) -> None:
    for length in (0, 1, 231, 232, 233, 253, 254, 255, 508, 509, 4055, 4056):
        payload = bytes((7 * i) % 255 + 1 for i in range(length))
        demand(subject.raw.ask(Opcode.ECHO, payload) == payload, f"ECHO of {length} bytes came back changed")


def _own_frames(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.ask(Opcode.ECHO, b"\x01" * 4056)
    demand(not raw.damaged, f"{len(raw.damaged)} frames of the device were damaged: {raw.damaged[:1]}")
    demand(raw.longest <= MAX_FRAME, f"a frame of {raw.longest} bytes, at most {MAX_FRAME}")


CHECKS = (
    Check("framing.silent", "1.2", "the device sends nothing that was not asked for", _silent),
    Check("framing.empty", "2.6", "delimiters with nothing between them are ignored", _empty),
    Check("framing.bytewise", "2.6", "a request may arrive byte by byte", _bytewise),
    Check("framing.crc", "2.2", "a frame with a wrong CRC is not executed and is answered with NAK 1", _crc),
    Check("framing.bit-flip", "2.2", "a frame with a flipped bit is not executed", _payload_bit),
    Check("framing.length", "2.6", "a length field that does not fit damages the frame", _length),
    Check("framing.version", "2.6", "a frame of another protocol version is not executed", _version),
    Check("framing.kind", "2.6", "a frame of a kind that hosts do not send is not executed", _kind),
    Check("framing.parts", "2.6", "parts = 0 and part >= parts damage the frame", _parts),
    Check("framing.cobs", "2.6", "bytes that are no COBS are not executed", _cobs),
    Check("framing.short", "2.6", "a body shorter than 22 bytes is not executed", _short),
    Check("framing.endless", "2.6", "12 KiB without a delimiter are dropped, the next request is answered", _endless),
    Check("framing.one-nak", "5.4", "of several damaged frames in a row only the first is answered", _one_nak),
    Check("framing.every-byte", "1.1", "all byte values pass unchanged", _every_byte),
    Check("framing.lengths", "2.3", "payloads around the COBS run length and the frame limit pass", _lengths),
    Check("framing.own-frames", "2.3", "the device's own frames are sound and at most 4,096 bytes", _own_frames),
)
