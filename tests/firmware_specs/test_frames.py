import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_specs.codes import Kind
from firmware_specs.fragments import Assembly, cut
from firmware_specs.frame import MAX_FRAME, MAX_PAYLOAD, Damaged, Decoder, Frame, decode, encode

FRAME = Frame(Kind.REQUEST, 0x0C, 0, 0xDEADBEEF, 7, 0, 1, b"\x00\x01\x00hello\xff")

frames = st.builds(
    Frame,
    st.sampled_from([int(kind) for kind in Kind]),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
    st.integers(4, 65535),
    st.binary(max_size=600) | st.sampled_from([bytes(MAX_PAYLOAD), b"\xff" * MAX_PAYLOAD, b"\n" * MAX_PAYLOAD]),
)


@given(frames)
def test_a_decoded_frame_is_the_encoded_one_and_no_longer_than_4096_bytes(frame):
    data = encode(frame)
    assert len(data) <= MAX_FRAME and data.count(0) == 1 and data[-1] == 0
    assert Decoder().feed(data) == [frame]


@given(st.lists(frames, max_size=4), st.randoms(use_true_random=False))
def test_frames_arrive_whatever_the_portions(sent, rng):
    data, decoder, got, at = b"\x00".join(encode(f) for f in sent), Decoder(), [], 0
    while at < len(data):
        step = rng.choice([1, 2, 7, 300, 5000])
        got += decoder.feed(data[at : at + step])
        at += step
    assert got == sent and decoder.pending == 0


def test_one_byte_at_a_time():
    decoder = Decoder()
    got = [frame for byte in encode(FRAME) for frame in decoder.feed(bytes([byte]))]
    assert got == [FRAME]


@given(st.binary(max_size=9000))
def test_any_bytes_give_frames_or_damage_and_bounded_memory(data):
    decoder = Decoder()
    for at in range(0, len(data), 1000):
        assert all(isinstance(item, Frame | Damaged) for item in decoder.feed(data[at : at + 1000]))
        assert decoder.pending < MAX_FRAME


def test_an_endless_run_without_delimiter_is_dropped_up_to_the_next_one():
    decoder = Decoder()
    damage = [item for _ in range(50) for item in decoder.feed(b"\x55" * 1000)]
    assert len(damage) == 1 and "no delimiter" in damage[0].reason and decoder.pending < MAX_FRAME
    assert decoder.feed(b"\x55\x00" + encode(FRAME)) == [FRAME]


@settings(max_examples=300)
@given(frames, st.integers(0, 2**32 - 1), st.sampled_from(["flip", "cut", "insert", "swap"]))
def test_a_mutated_frame_is_never_taken_for_another(frame, seed, how):
    rng, data = random.Random(seed), bytearray(encode(frame)[:-1])
    place = rng.randrange(len(data))
    if how == "flip":
        data[place] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del data[place : place + rng.randint(1, 4)]
    elif how == "insert":
        data.insert(place, rng.randrange(256))
    else:
        other = rng.randrange(len(data))
        data[place], data[other] = data[other], data[place]
    assert all(isinstance(item, Damaged) or item == frame for item in Decoder().feed(bytes(data) + b"\x00"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body[:10], "shorter"),
        (lambda body: bytes([2]) + body[1:], "version 2"),
        (lambda body: body[:1] + bytes([99]) + body[2:], "kind 99"),
        (lambda body: body[:12] + bytes([1, 0]) + body[14:], "frame 1 of 1"),
        (lambda body: body[:14] + bytes([0, 0]) + body[16:], "frame 0 of 0"),
        (lambda body: body[:16] + bytes([1, 0]) + body[18:], "length field 1"),
    ],
)
def test_a_frame_with_a_good_crc_but_a_wrong_header_is_damaged(change, reason):
    from cobs import cobs

    body = change(cobs.decode(encode(FRAME)[:-1])[:-4])
    data = cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\x00"
    (item,) = Decoder().feed(data)
    assert isinstance(item, Damaged) and reason in item.reason


def test_a_payload_longer_than_a_frame_is_refused():
    with pytest.raises(ValueError, match="4057 bytes: a frame takes at most 4056"):
        encode(FRAME._replace(payload=bytes(4057)))
    with pytest.raises(ValueError, match="does not fit"):
        encode(FRAME._replace(opcode=256))


@pytest.mark.parametrize("size", [0, 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 10 * MAX_PAYLOAD, 70_000])
def test_a_message_comes_together_from_its_parts(size):
    message = random.Random(size).randbytes(size)
    parts = cut(Kind.REPLY, 1, 0, 5, 6, message)
    assembly = Assembly(parts[0])
    for part in parts:
        assert not assembly.complete and assembly.take(part)
    assert assembly.complete and assembly.message == message


def test_an_assembly_takes_nothing_but_the_next_part_of_its_own_message():
    parts = cut(Kind.REPLY, 1, 0, 5, 6, bytes(3 * MAX_PAYLOAD))
    assembly = Assembly(parts[0])
    assert not assembly.take(parts[1])
    assert assembly.take(parts[0])
    assert not assembly.take(parts[0])
    assert not assembly.take(parts[1]._replace(sequence=7))
    assert not assembly.take(parts[1]._replace(payload=b"short"))
    assert assembly.take(parts[1])


@pytest.mark.soak
def test_ten_million_mutated_frames_are_all_refused():
    rng = random.Random(0)
    sources = [encode(FRAME._replace(sequence=n, payload=rng.randbytes(rng.randrange(60))))[:-1] for n in range(1000)]
    accepted = 0
    for _ in range(10_000_000):
        source = sources[rng.randrange(1000)]
        damaged = bytearray(source)
        for _ in range(rng.choice((1, 1, 2, 4))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        if damaged != source:
            accepted += not isinstance(decode(bytes(damaged)), Damaged)
    assert accepted == 0
