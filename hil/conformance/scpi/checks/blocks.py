"""Blocks: what may be in them, how long they are, and their byte order (SCPI.md sections 1.5 and 2)."""

from __future__ import annotations

import numpy as np

from firmware_specs.codes import Capability, Parameter
from firmware_specs.scpi import block, pack_array
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.scpi.dialogue import ENTRY
from hil.conformance.scpi.subject import ScpiSubject

WELL_SENT = 1 << 16
MOST_SENT = 1 << 27
SLOWEST_BYTES_S = 1e6
"""A link that is slower than this needs more patience."""


def _any_bytes(subject: ScpiSubject) -> None:
    """Codes whose every byte is a line feed, a quote, a semicolon, or the sign that begins a block."""
    _cells(subject)
    region, width = subject.region(), subject.cell_codes(np.zeros(1)).dtype.itemsize
    top = subject.cell_code_max
    for byte in (0x0A, 0x22, 0x3B, 0x23):
        code = min(int.from_bytes(bytes([byte]) * width, "little"), top)
        codes = np.full(region.cells, code, dtype=f"u{width}")
        message = f"ARR:CELL:WRIT? 0,0,0,{subject.place[2:]},".encode() + pack_array(codes, swapped=True)
        subject.talk.send(message + b";:SYST:ERR:ALL?")
        answer = subject.talk.line("a block of special bytes")
        written = f"{region.cells},"
        demand(answer.startswith(written) and answer.endswith('0,"No error"'),
               f"{region.cells} cells with codes of bytes 0x{byte:02x} were answered {answer!r}")  # fmt: skip
        level = float(np.median(subject.read_levels(region)))
        demand(abs(level - code / top) < 0.15, f"level {code / top:.3f}, all its bytes 0x{byte:02x}, reads {level:.3f}")


def _block_in_pieces(subject: ScpiSubject) -> None:
    subject.needs_stream()
    _cells(subject)
    region = subject.region()
    codes = subject.cell_codes(np.full(region.cells, 0.4))
    message = f"ARR:CELL:WRIT? 0,0,0,{subject.place[2:]},".encode() + pack_array(codes, swapped=True) + b"\n"
    at = message.index(b"#")
    for cut in (at, at + 1, at + 2, at + 3, at + 5, len(message) - 1):
        subject.talk.send_raw(message[:cut])
        subject.talk.send_raw(message[cut:])
        answer = subject.talk.line(f"a block cut {cut - at} bytes behind its beginning")
        demand(answer.startswith(f"{region.cells},"), f"a block cut {cut - at} bytes in was answered {answer!r}")


def _indefinite(subject: ScpiSubject) -> None:
    text = subject.topology.model_dump_json(exclude_none=True).encode()
    subject.talk.accepted(b"ARR:TOP 0,#0" + text)
    demand(bool(subject.talk.block("ARR:TOP? 0")), "ARRay:TOPology? is empty")


def _definite(subject: ScpiSubject) -> None:
    text = subject.topology.model_dump_json(exclude_none=True).encode()
    subject.talk.accepted(b"ARR:TOP 0," + block(text))
    kept = subject.talk.block("ARR:TOP? 0")
    demand(type(subject.topology).model_validate_json(kept) == subject.topology, f"another block came back: {kept!r}")


def _wrong_length(subject: ScpiSubject) -> None:
    _cells(subject)
    words = subject.talk.refused(f"ARR:CELL:WRIT 0,0,0,{subject.place[2:]},".encode() + block(b"\x01\x02\x03"), -161)
    codes = subject.cell_codes(np.zeros(subject.region().cells))
    demand(str(codes.nbytes) in words, f"the refusal {words!r} does not say that {codes.nbytes} bytes were expected")
    demand(subject.talk.ask("*OPC?") == "1", "the message behind a refused block is not answered")


def _too_long_block(subject: ScpiSubject) -> None:
    most, _ = _largest(subject)
    if most > MOST_SENT:
        raise Skipped(f"a block of more than {most} bytes would have to be sent")
    more_s = most / SLOWEST_BYTES_S
    subject.talk.send(b"ARR:TOP 0," + block(bytes(most + 1)) + b";:SYST:ERR:ALL?", more_s)
    answer = subject.talk.line(f"a block of {most + 1} bytes", more_s)
    codes = [code for code, _ in ENTRY.findall(answer)]
    seen = f"a block of {most + 1} bytes, {most} being the most, was answered {answer[:80]!r}"
    demand(codes == ["-223"], f"{seen}; expected the error -223 alone")
    demand(subject.talk.ask("*OPC?") == "1", "the message behind a block that was too long is not answered")


def _large_block(subject: ScpiSubject) -> None:
    data = bytes(range(256)) * (min(WELL_SENT, *_largest(subject)) // 256)
    echoed = subject.talk.block(b"SYST:ECHO? " + block(data))
    demand(echoed == data, f"a block of {len(data)} bytes came back as {len(echoed)}, or with other bytes")


def _largest(subject: ScpiSubject) -> tuple[int, int]:
    """Block bytes of one message, and of one reply."""
    numbers = subject.talk.fields("SYST:BLOC:MAX?")
    whole = [int(number) for number in numbers if number.isdigit() and int(number) > 0]
    demand(len(numbers) == len(whole) == 2, f"SYSTem:BLOCk:MAXimum? answered {numbers}, expected two whole numbers")
    return whole[0], whole[1]


def _order_kept(subject: ScpiSubject) -> None:
    for word, answer in (("NORM", "NORM"), ("SWAPped", "SWAP"), ("NORMal", "NORM"), ("SWAP", "SWAP")):
        subject.talk.send(f"FORM:BORD {word}")
        seen = subject.talk.ask("FORM:BORD?")
        demand(seen == answer, f"FORMat:BORDer {word} reads back as {seen!r}")


def _order_of_reals(subject: ScpiSubject) -> None:
    subject.needs(Capability.USAGE)
    subject.prepare()
    found = []
    for word, sign in (("NORM", ">"), ("SWAP", "<")):
        subject.talk.send(f"FORM:BORD {word}")
        data = subject.talk.block(f"ARR:CELL:USAG? {subject.place}")
        demand(len(data) == 16 * subject.region().cells, f"{len(data)} bytes for {subject.region().cells} cells")
        found.append(np.frombuffer(data, f"{sign}f8"))
    demand(bool(np.array_equal(found[0], found[1])), "the same reals differ in the two byte orders")


def _order_of_codes(subject: ScpiSubject) -> None:
    _cells(subject)
    if int(subject.parameters[Parameter.CELL_BITS]) <= 8:
        raise Skipped("codes have one byte")
    codes = subject.cell_codes(np.full(subject.region().cells, 0.75))
    subject.talk.send("FORM:BORD NORM")
    message = f"ARR:CELL:WRIT? 0,0,0,{subject.place[2:]},".encode()
    subject.talk.ask(message + pack_array(codes, swapped=False))
    subject.talk.send("FORM:BORD SWAP")
    level = float(np.median(subject.read_levels(subject.region())))
    demand(abs(level - 0.75) < 0.15, f"level 0.75, written big-endian, reads {level:.3f}")


def _cells(subject: ScpiSubject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    subject.prepare()


CHECKS = (
    Check("blocks.definite", "2.1", "definite blocks are taken and sent", _definite),
    Check("blocks.any-bytes", "2.1", "any byte may occur in a block, LF too", _any_bytes),
    Check("blocks.in-pieces", "2.1", "a block may arrive in pieces, cut anywhere", _block_in_pieces),
    Check("blocks.indefinite", "2.2", "an indefinite block is taken as last parameter", _indefinite),
    Check("blocks.wrong-length", "2.5", "a block of another length is -161 and says what was expected", _wrong_length),
    Check("blocks.too-long", "1.5", "a unit with a block beyond the largest is refused with -223", _too_long_block),
    Check("blocks.large", "1.5", "a block of 64 KiB passes both ways", _large_block),
    Check("order.kept", "2.4", "the byte order is set and read back", _order_kept),
    Check("order.reals", "2.4", "reals come in the byte order that was set", _order_of_reals),
    Check("order.codes", "2.4", "codes are taken in the byte order that was set", _order_of_codes),
)
