"""Why there is no session: silence, text, another speed, damaged frames and wrong answers told apart, on both doors."""

from __future__ import annotations

import re
from collections import Counter

from firmware_specs.codes import Kind
from firmware_specs.frame import DELIMITER, Damaged, Decoder, Frame

LAST = 32
"""Bytes shown of what came."""
PRINTABLE = frozenset(range(32, 127)) | {9, 10, 13}
TEXT_SHARE = 0.9
QUOTED = re.compile(rb'"\d+"')


def of_silence(sent: int, heard: bytes, nonce: int) -> str:
    """One sentence on what came instead of SYNCED, with byte counts and the last bytes in hex.

    Args:
        sent: Bytes of the SYNC.
        heard: All that came since.
        nonce: Of the SYNC.
    """
    if not heard:
        return (
            f"silence: {sent} bytes were sent and none came back. Is the board powered, is this its port, "
            "are TX and RX crossed?"
        )
    return f"{_what(heard, nonce)} {_counted(sent, heard)}"


def of_instrument(message: bytes, heard: bytes, proof: bytes) -> str:
    """One sentence on what came of an instrument instead of the nonce it was to repeat.

    Args:
        message: What was sent.
        heard: All that came since.
        proof: The nonce in quotes.
    """
    if not heard:
        return f"silence: {len(message)} bytes were sent and none came back. Is it on, is this its port?"
    lines = heard.split(b"\n")
    numbers = [line.strip() for line in lines if QUOTED.fullmatch(line.strip())]
    if sum(byte in PRINTABLE for byte in heard) < TEXT_SHARE * len(heard):
        what = "no text: does it speak PROTOCOL.md (a serial: address), is the baud rate its own?"
    elif b"SYST:ECHO?" in heard:
        what = "the line repeats what is sent to it: is echo on, or is this a loop?"
    elif numbers:
        what = f"wrong nonce: {numbers[-1].decode()} came, {proof.decode()} was to be repeated"
    else:
        words = heard[-2 * LAST :].decode("ascii", "replace").strip()
        what = f"text on the line, no nonce: {words!r}. Is it a console, a log, or is SYSTem:ECHO? missing?"
    return f"{what} {_counted(len(message), heard)}"


def _counted(sent: int, heard: bytes) -> str:
    return f"({sent} bytes sent, {len(heard)} came, the last: {heard[-LAST:].hex(' ')})"


def _what(heard: bytes, nonce: int) -> str:
    readable = sum(byte in PRINTABLE for byte in heard) / len(heard)
    if readable >= TEXT_SHARE:
        words = heard[-2 * LAST :].decode("ascii", "replace").strip()
        return f"text on the line, no frames: {words!r}. Is it a console, or the log of the firmware?"
    if DELIMITER not in heard:
        return "bytes without a delimiter (0x00): is the baud rate that of the board, is the line raw?"
    found = Decoder().feed(heard)
    damage = Counter(item.reason for item in found if isinstance(item, Damaged))
    sound = [item for item in found if isinstance(item, Frame)]
    for frame in sound:
        if frame.kind == Kind.SYNCED:
            return f"wrong nonce: SYNCED came with 0x{frame.session:08x}, SYNC had 0x{nonce:08x}"
    if sound:
        kinds = ", ".join(sorted({_named(frame.kind) for frame in sound}))
        return f"{len(sound)} sound frames came, {kinds}, and no SYNCED"
    (reason, most), *_ = damage.most_common(1) or [("nothing between delimiters", 0)]
    kind = "bad COBS" if reason.startswith("COBS") else "bad CRC" if reason.startswith("CRC") else "damaged"
    return f"{kind}: {sum(damage.values())} frames came damaged, {most} of them: {reason}"


def _named(kind: int) -> str:
    return Kind(kind).name if kind in list(Kind) else f"kind {kind}"
