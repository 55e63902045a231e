"""What `hil conform` says to a person: why there is no session, which checks, the dialogue, again when it is back."""

import contextlib
import json
import re
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from drivers.errors import LinkLost
from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.codes import ErrorCode, Kind, Opcode
from firmware_specs.datasheet import load
from firmware_specs.frame import Decoder, Frame, encode
from firmware_specs.messages import Refusal, Synced
from hil.cli import build_app
from hil.conformance import remembered
from hil.conformance.suite import SCPI, SERIAL
from hil.conformance.watching import come_back
from hil.counterparts.opening.wire import links_of

SYNCED = Synced(1, False, 8, 0, 1, 4096, 4096, 8).pack()
BROKEN = bytearray(encode(Frame(Kind.SYNCED, 0, 0, 7, 0, payload=SYNCED)))
BROKEN[-3] ^= 1
LIARS = {
    "silence": b"",
    "text on the line": b"boot: crossbar 0.3\r\nADC ok\r\n> ",
    "without a delimiter": b"\xfe\x91\xe0\x80\x8c" * 20,
    "bad COBS": b"\x30\x01\x02\x00" * 3,
    "bad CRC": bytes(BROKEN),
    "wrong nonce": encode(Frame(Kind.SYNCED, 0, 0, 7, 0, payload=SYNCED)),
    "no SYNCED": encode(Frame(Kind.REPLY, Opcode.HEARTBEAT, 0, 7, 1)),
}


def hil(*arguments):
    return CliRunner().invoke(build_app(), list(arguments))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered.pooch, "os_cache", lambda name: tmp_path / "cache")


@pytest.mark.parametrize("what", LIARS)
def test_a_session_that_cannot_be_opened_is_said_once_with_its_reason(what):
    result = SERIAL.run(Loopback(lambda data: LIARS[what]), patience_s=0.05)
    assert len(result.outcomes) == 1 and not result.conforms
    assert result.not_made == len(SERIAL.checks) - 1
    assert what in result.stopped and what in result.outcomes[0].seen
    assert re.search(r"\d+ bytes (were )?sent", result.stopped)
    if LIARS[what]:
        assert LIARS[what][-5:].hex(" ") in result.stopped
    assert f"{result.not_made} not made" in result.summary


def answering(version, verbs=lambda frame: []):
    """A device that opens sessions of this version, and beyond that does what `verbs` does."""
    decoder = Decoder()

    def feed(data):
        out = []
        for frame in decoder.feed(data):
            if getattr(frame, "kind", None) == Kind.SYNC:
                synced = Synced(version, False, 8, 0, 1, 4096, 4096, 8).pack()
                out.append(Frame(Kind.SYNCED, 0, 0, frame.session, 0, payload=synced))
            elif isinstance(frame, Frame):
                out += verbs(frame)
        return b"".join(map(encode, out))

    return Loopback(feed)


def refusing(frame):
    payload = Refusal(ErrorCode.INTERNAL, 0, "not today").pack()
    return [Frame(Kind.ERROR, frame.opcode, 0, frame.session, frame.sequence, payload=payload)]


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (answering(0), "version 0, none in common"),
        (answering(1), "opcode 0x12 (1 frames) was not answered"),
        (answering(1, refusing), "DISARM was refused with 0x31: not today"),
    ],
    ids=["another version", "sessions and nothing else", "nothing but refusals"],
)
def test_what_would_fail_before_every_check_is_said_once(device, why):
    result = SERIAL.run(device, patience_s=0.05)
    assert len(result.outcomes) == 1 and not result.conforms and result.not_made == len(SERIAL.checks) - 1
    assert why in result.outcomes[0].seen and result.stopped == result.outcomes[0].seen
    assert why not in result.identity + result.summary


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda data: b"", "silence"),
        (lambda data: b"ERR\n", "text on the line"),
        (lambda data: b"boot 1.2\r\n> ", "'boot 1.2\\r\\n>'"),
        (lambda data: b'"7"\n', 'wrong nonce: "7" came'),
        (lambda data: data, "repeats what is sent"),
        (lambda data: b"\x00\xfe\x91\xe0\x80\n", "no text"),
    ],
    ids=["silence", "a word", "a console", "another nonce", "echo", "bytes"],
)
def test_an_instrument_that_keeps_silent_or_talks_nonsense_ends_the_run_too(answer, what):
    result = SCPI.run(Loopback(answer), patience_s=0.05)
    assert len(result.outcomes) == 1 and not result.conforms
    assert result.stopped == result.outcomes[0].seen and what in result.stopped
    assert re.search(r"\d+ bytes (were )?sent", result.stopped)
    if came := answer(b"SYST:ECHO?\n"):
        assert re.search(r"\d+ came, the last: ", result.stopped) and came[-1:].hex() + ")" in result.stopped


def test_a_host_that_stood_still_until_an_instrument_s_answer_was_too_late_asks_again():
    end, stood = ScpiEndpoint(Machine(Device(Chip(load("mixed-8bit"), seed=1))), "loopback"), []

    def feed(data):
        if b"SYST:ECHO?" in data and not stood:
            stood.append(time.sleep(0.4))  # beyond its patience
            return b""
        return end.feed(data)

    result = SCPI.run(Loopback(feed), SCPI.select(["common.identity"]), patience_s=0.1)
    assert stood and [outcome.verdict for outcome in result.outcomes] == ["passed"]


def test_a_device_that_dies_in_the_middle_ends_the_run_there():
    end = SerialEndpoint(Machine(Device(Chip(load("mixed-8bit"), seed=1))), "loopback")
    heard = []

    def dying(data):
        heard.append(data)
        return end.feed(data) if len(heard) < 60 else b""

    result = SERIAL.run(Loopback(dying), patience_s=0.05)
    assert 1 < len(result.outcomes) < 40 and result.outcomes[-1].verdict == "failed" and "silence" in result.stopped


def test_what_goes_wrong_before_a_check_is_called_so():
    machine = Machine(Device(Chip(load("mixed-8bit"), seed=1)))
    able = machine._able
    able[int(Opcode.LIMITS)] = (*able[int(Opcode.LIMITS)][:2], lambda device, payload, door: b"\x00")
    result = SERIAL.run(Loopback(SerialEndpoint(machine, "loopback").feed), SERIAL.select(["framing.crc"]))
    assert result.outcomes[0].seen.startswith("set-up, before the check itself: ")


def test_list_shows_names_whole_and_needs_no_device():
    shown = hil("conform", "--list", "--only", "transactions")
    assert shown.exit_code == 0
    names = [line.split()[0] for line in shown.output.splitlines()]
    assert names == [check.name for check in SERIAL.select(["transactions"])]
    assert hil("conform", "--list", "--protocol", "scpi").output.count("\n") == len(SCPI.checks)


def test_a_line_a_check_with_its_name_whole():
    shown = hil("conform", "--device", "emulator:mixed-8bit", "--only", "identity", "--only", "transactions.replayed")
    assert shown.exit_code == 0, shown.output
    for check in SERIAL.select(["identity", "transactions.replayed"]):
        assert re.search(rf"\d+/\d+ (passed|skipped) +{re.escape(check.name)} ", shown.output)


def test_failed_first_begins_with_what_failed_before(monkeypatch):
    address = "emulator:mixed-8bit"
    result = SERIAL.run(Loopback(lambda data: b""), SERIAL.select(["settle.shape"]), patience_s=0.05)
    remembered.remember(address, result)
    shown = hil("conform", "--device", address, "--failed-first", "--only", "identity", "--only", "settle.shape")
    assert "settle.shape" in shown.output.splitlines()[0]
    again = hil("conform", "--device", address, "--failed-first", "--only", "identity", "--only", "settle.shape")
    assert "identity.identify" in again.output.splitlines()[0]


def test_a_trace_is_readable_and_goes_along(tmp_path):
    path = tmp_path / "trace.txt"
    assert (
        hil("conform", "--device", "emulator:mixed-8bit", "--only", "framing.crc", "--trace", str(path)).exit_code == 0
    )
    lines = path.read_text().splitlines()
    assert all(re.match(r" *\d+\.\d{6} [<>#!] ", line) for line in lines)
    text = "\n".join(lines)
    for piece in ("> SYNC session", "< SYNCED session", "> REQUEST IDENTIFY", "< NAK", "> DAMAGED CRC-32",
                  "Synced(version=1", "# framing.crc passed", "Identity(vendor="):  # fmt: skip
        assert piece in text, piece
    hil(
        "conform",
        "--device",
        "emulator:mixed-8bit",
        "--protocol",
        "scpi",
        "--only",
        "common.identity",
        "--trace",
        str(path),
    )
    assert "> *" in path.read_text()


def test_watching_waits_for_a_restart_or_a_return():
    machine = Machine(Device(Chip(load("mixed-8bit"), seed=1), boot=5))
    end, looks = SerialEndpoint(machine, "loopback"), []

    @contextlib.contextmanager
    def wire():
        looks.append(None)
        if len(looks) in (3, 4):
            raise LinkLost("unplugged", device="x")
        yield Reopenable(lambda: Loopback(end.feed))

    waits = []
    assert come_back(wire, 5, pause=waits.append) == 5 and len(looks) == 5
    looks.clear()

    def restarting(seconds):
        waits.append(seconds)
        machine.device.restart()

    looks.extend([None] * 5)
    assert come_back(wire, 5, pause=restarting) == 6


def test_watching_follows_the_boot_number_of_an_instrument_too():
    machine, waits = Machine(Device(Chip(load("mixed-8bit"), seed=1), boot=5)), []

    def restarting(seconds):
        waits.append(seconds)
        machine.device.restart()

    wire = contextlib.nullcontext(Reopenable(links_of(machine, "loopback", "scpi")))
    assert come_back(lambda: wire, 5, "scpi", pause=restarting) == 6 and len(waits) == 1


def test_json_says_that_a_run_was_stopped(tmp_path):
    result = replace(SERIAL.run(Loopback(lambda data: b""), patience_s=0.05))
    assert json.loads(json.dumps(result.to_json()))["not_made"] == len(SERIAL.checks) - 1
