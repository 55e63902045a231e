"""The frames of vectors/frames.toml against the rules of the text, and the codec against them."""

import re
import tomllib
from importlib import resources

import numpy as np
import pytest

from firmware_specs import codes, messages
from firmware_specs.frame import MAX_FRAME, Decoder, Frame, encode
from firmware_specs.topology import Dense, Layer, Topology

PACKAGE = resources.files("firmware_specs")
VECTORS = tomllib.loads((PACKAGE / "vectors" / "frames.toml").read_text())
TEXT = (PACKAGE / "PROTOCOL.md").read_text()


def bytes_of(vector, key):
    return bytes.fromhex(vector[key])


def crc_bit_by_bit(data):
    """Rule 2.2: reflected polynomial 0xEDB88320."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            feedback = (register ^ (byte >> bit)) & 1
            register = (register >> 1) ^ (0xEDB88320 if feedback else 0)
    return register ^ 0xFFFFFFFF


def cobs_by_definition(body):
    """Rule 2.3: pieces up to every zero, runs of 254 bytes on their own."""
    out = b""
    pieces = (body + b"\0").split(b"\0")[:-1]
    for number, piece in enumerate(pieces):
        while len(piece) >= 254:
            out, piece = out + b"\xff" + piece[:254], piece[254:]
            if not piece and number == len(pieces) - 1:
                return out
        out += bytes([len(piece) + 1]) + piece
    return out


def test_the_crc_of_the_text_is_the_one_of_its_check_value():
    assert crc_bit_by_bit(b"123456789") == 0xCBF43926


@pytest.mark.parametrize("name", VECTORS)
def test_a_golden_frame_follows_from_the_text(name):
    vector = VECTORS[name]
    body = bytes_of(vector, "header") + bytes_of(vector, "payload")
    assert crc_bit_by_bit(body) == int.from_bytes(bytes_of(vector, "crc"), "little")
    assert cobs_by_definition(body + bytes_of(vector, "crc")) + b"\0" == bytes_of(vector, "wire")
    header = bytes_of(vector, "header")
    assert len(header) == 18 and int.from_bytes(header[16:], "little") == len(bytes_of(vector, "payload"))
    assert re.search(rf"^#* ?{re.escape(vector['section'])} ", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", VECTORS)
def test_the_codec_gives_and_takes_the_golden_bytes(name):
    vector, header = VECTORS[name], bytes_of(VECTORS[name], "header")
    fields = [int.from_bytes(header[a:b], "little") for a, b in ((4, 8), (8, 12), (12, 14), (14, 16))]
    frame = Frame(header[1], header[2], header[3], *fields, bytes_of(vector, "payload"))
    assert encode(frame) == bytes_of(vector, "wire")
    assert Decoder().feed(bytes_of(vector, "wire")) == [frame]


@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x0a"])
def test_full_frames_of_one_byte_value_follow_the_rules_and_fit_4096_bytes(fill):
    frame = Frame(codes.Kind.REPLY, 1, 0, 0x01010101, 0x01010101, 0, 1, fill * 4056)
    header = bytes([1, 2, 1, 0]) + b"\x01" * 8 + bytes([0, 0, 1, 0]) + (4056).to_bytes(2, "little")
    body = header + frame.payload
    assert encode(frame) == cobs_by_definition(body + crc_bit_by_bit(body).to_bytes(4, "little")) + b"\0"
    assert len(encode(frame)) <= MAX_FRAME


def region(row, rows, plane):
    return messages.Region(array=1, coupling=0, plane=plane, row=row, rows=rows, column=0, columns=1)


MEANINGS = {
    "sync": messages.Sync(window=8, previous=0, owner="a@b"),
    "synced": messages.Synced(1, False, 8, 0, 0x2A, 65536, 131072, 16),
    "error_not_armed": messages.Refusal(0x10, 0, "off"),
    "nak_gap": messages.Nak(2, 5, 3),
    "credit": messages.Credit(4),
    "configure_2_1": messages.Configure(
        1,
        Topology(
            layers=(Layer(shape=(2,), clamped=True, slope=0.5), Layer(shape=(1,), clamped=False)),
            couplings=(Dense(pre=0, post=1),),
        ),
    ),
    "write_cells_list": messages.WriteCells(
        1, (messages.Patch(region(0, 3, 1), np.array([0x0102, 0x03FF], "u2"), np.array([0, 2], "u4")),)
    ),
    "pulse_uniform": messages.Pulse(region(2, 1, 0), True, 1.5, 2.0**-20, 3),
    "settle_one_nudge": messages.Settle(
        1, np.array([[0x800, 0xFFF]], "u2"), (np.array([[0x7FF]], "u2"),), layers=(1, 0), reads=4
    ),
    "settle_reply": messages.SettleReply(
        np.ones((2, 1), bool),
        np.array([[9], [3]], "u4"),
        np.array([[0.5], [0.5]], "f4"),
        np.array([[0.25], [0.125]], "f4"),
        np.array([1], "u4"),
        (np.array([[[0x12345]], [[0x1FFFF]]], "u4"),),
    ),
    "update_two_terms": messages.Update(
        1,
        np.array([[0x800, 0xFFF]], "u2"),
        (np.array([[0x900]], "u2"), np.array([[0x700]], "u2")),
        (messages.Term(1, 0, True), messages.Term(2, 0, False)),
        np.array([2.0**-10], "f4"),
    ),
    "coincide_two_trains": messages.Coincide(
        1,
        1.5,
        2.0**-20,
        (
            messages.Train(
                region(0, 2, 0), True, np.array([[1, 0], [0, 1], [1, 1]], bool), np.array([[1], [0], [1]], bool)
            ),
            messages.Train(
                messages.Region(1, 0, 1, 1, 1, 0, 9), False, np.ones((1, 1), bool), np.arange(9)[None] % 8 == 0
            ),
        ),
    ),
    "coincide_reply": messages.Pulsed(4, 17),
    "update_reply": messages.Updated(3, 2, 1, 17),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_a_message_packs_to_the_golden_payload_and_parses_back(name):
    payload = bytes_of(VECTORS[name], "payload")
    assert MEANINGS[name].pack() == payload
    parsed = type(MEANINGS[name]).parse(payload)
    assert parsed.pack() == payload and repr(parsed) == repr(MEANINGS[name])


def test_the_text_and_the_code_agree_on_opcodes_and_their_marks():
    rows = re.findall(r"^\| (0x..) \| (\w+) \| (yes|no) \| (yes|no) \| ?(\w*) ?\|$", TEXT, re.MULTILINE)
    written = {name: (int(code, 16), idem == "yes", armed == "yes", cap) for code, name, idem, armed, cap in rows}
    coded = {
        opcode.name: (int(opcode), rule.idempotent, rule.armed, rule.capability.name if rule.capability else "")
        for opcode, rule in codes.RULES.items()
    }
    assert written == coded


def test_the_text_and_the_code_agree_on_errors_and_capabilities():
    errors = re.findall(r"^\| (0x..) \| (\w+) \|", TEXT[TEXT.index("## 8 Errors") :], re.MULTILINE)
    assert {name: int(code, 16) for code, name in errors} == {e.name: int(e) for e in codes.ErrorCode}
    bits = re.findall(r"^\| (\d+) \| ([A-Z_]{2,}) \|", TEXT[TEXT.index("### 7.1") :], re.MULTILINE)
    assert {name: 1 << int(bit) for bit, name in bits} == {c.name: c.value for c in codes.Capability}
