"""The codec in C gives and takes the golden frames, and what is no frame is damaged in both codecs alike."""

import random
import subprocess
import tomllib
from importlib import resources

import pytest

from firmware_specs.frame import DELIMITER, Damaged, Decoder, Frame, encode

VECTORS = tomllib.loads((resources.files("firmware_specs") / "vectors" / "frames.toml").read_text())


@pytest.fixture(scope="module")
def codec(checked):
    def talk(lines):
        done = subprocess.run([checked / "frames"], input="\n".join(lines) + "\n", capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.splitlines()

    return talk


def shown(frame):
    fields = (frame.kind, frame.opcode, frame.session, frame.sequence, frame.part, frame.parts, frame.payload.hex())
    return " ".join(map(str, fields))


def test_the_codec_in_c_gives_and_takes_the_golden_bytes(codec):
    asked, expected = [], []
    for vector in VECTORS.values():
        header, payload = bytes.fromhex(vector["header"]), bytes.fromhex(vector["payload"])
        session, sequence, part, parts = (
            int.from_bytes(header[a:b], "little") for a, b in ((4, 8), (8, 12), (12, 14), (14, 16))
        )
        frame = Frame(header[1], header[2], header[3], session, sequence, part, parts, payload)
        wire = bytes.fromhex(vector["wire"]).hex()
        asked += [f"e {frame.kind} {frame.opcode} {frame.flags} {session} {sequence} {part} {parts} {payload.hex()}"]
        asked += [f"d {wire}"]
        expected += [wire, shown(frame)]
    assert codec(asked) == expected


def test_both_codecs_agree_on_payloads_around_runs_of_254_and_on_damage(codec):
    rng = random.Random(3)
    asked, expected = [], []
    for length in (0, 1, 231, 232, 233, 253, 254, 255, 508, 509, 762, 4055, 4056):
        for fill in (b"\x00", b"\x01", b"\xff", rng.randbytes(1)):
            frame = Frame(1, 12, 0, 77, 9, 0, 1, (rng.randbytes(length) if rng.random() < 0.5 else fill * length))
            asked += [f"e 1 12 0 77 9 0 1 {frame.payload.hex()}", f"d {encode(frame).hex()}"]
            expected += [encode(frame).hex(), shown(frame)]
    for _ in range(400):
        wire = bytearray(encode(Frame(1, 12, 0, 77, 9, 0, 1, rng.randbytes(rng.randrange(40)))))
        for _ in range(rng.randrange(1, 4)):
            wire[rng.randrange(len(wire))] = rng.randrange(256)
        data = bytes(wire) + DELIMITER
        found = Decoder().feed(data)
        asked.append(f"d {data.hex()}")
        expected.append("".join("damaged" if isinstance(f, Damaged) else shown(f) for f in found))
    assert codec(asked) == expected
