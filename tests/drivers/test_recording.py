import time

import pytest

from drivers.errors import LinkTimeout, ProtocolViolation
from drivers.loopback import Loopback
from drivers.recording import FlightRecorder, Recorded, Replay
from drivers.sign_of_life import credit, is_credit


def dialogue(transport, deadline):
    transport.write(b"*IDN?\n", deadline())
    name = transport.read_until(b"\n", 100, deadline())
    transport.write(b"DATA?\n", deadline())
    return name, transport.read_exact(4, deadline())


def answers(data):
    return {b"*IDN?\n": b"chip\n", b"DATA?\n": b"\x00\n\xff\x01"}[data]


def test_recording_replays_as_the_device(tmp_path, deadline):
    wire = Recorded(Loopback(answers))
    first = dialogue(wire, deadline)
    wire.recorder.save(tmp_path / "flight.log", "loopback")
    replay = Replay.load(tmp_path / "flight.log")
    assert dialogue(replay, deadline) == first
    replay.close()


def test_entries_carry_rising_monotonic_times(deadline):
    wire = Recorded(Loopback(answers))
    before = time.monotonic()
    dialogue(wire, deadline)
    times = [entry.at_s for entry in wire.recorder.entries]
    assert len(times) == 4
    assert before <= times[0] and times == sorted(times) and times[-1] <= time.monotonic()


def test_errors_are_on_the_record(deadline):
    wire = Recorded(Loopback(lambda data: b""))
    with pytest.raises(LinkTimeout):
        wire.read_exact(1, deadline())
    assert wire.recorder.entries[-1].way == "!"


def test_recorder_is_bounded_and_keeps_the_newest():
    recorder = FlightRecorder(max_bytes=10_000)
    for n in range(1000):
        recorder.note(">", n.to_bytes(4, "big") * 25)
    assert sum(len(entry.data) for entry in recorder.entries) <= 10_000
    assert recorder.entries[-1].data == (999).to_bytes(4, "big") * 25


def test_replay_refuses_another_dialogue(deadline):
    wire = Recorded(Loopback(answers))
    dialogue(wire, deadline)
    replay = Replay(wire.recorder.entries)
    with pytest.raises(ProtocolViolation, match="the recording has"):
        replay.write(b"*RST\n", deadline())


def test_replay_that_was_not_used_up_says_so(deadline):
    wire = Recorded(Loopback(answers))
    dialogue(wire, deadline)
    with pytest.raises(ProtocolViolation, match="4 recorded transfers"):
        Replay(wire.recorder.entries).close()


def test_replay_does_not_mind_how_a_write_is_split(deadline):
    wire = Recorded(Loopback(answers))
    dialogue(wire, deadline)
    replay = Replay(wire.recorder.entries)
    for byte in b"*IDN?\n":
        replay.write(bytes([byte]), deadline())
    assert replay.read_until(b"\n", 10, deadline()) == b"chip\n"


def test_replay_does_not_mind_signs_of_life_that_go_by_the_clock(deadline):
    wire = Recorded(Loopback(lambda data: answers(data) if data.endswith(b"\n") else b""))
    wire.write(credit(7, 1, 0), deadline())
    assert dialogue(wire, deadline) == dialogue(Replay(wire.recorder.entries), deadline)
    replay = Replay(tuple(entry for entry in wire.recorder.entries if not is_credit(entry.data)))
    replay.write(credit(7, 2, 0), deadline())
    dialogue(replay, deadline)
    replay.close()


def test_damaged_recording_names_file_and_line(tmp_path):
    (tmp_path / "bad.log").write_text("# recording of x\n0.1 > 00\n0.2 ? 11\n")
    with pytest.raises(ProtocolViolation, match=r"bad\.log, line 3"):
        Replay.load(tmp_path / "bad.log")
    (tmp_path / "other.log").write_text("hello\n")
    with pytest.raises(ProtocolViolation, match="not a recording"):
        Replay.load(tmp_path / "other.log")
