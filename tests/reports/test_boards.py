"""Boards and ports as people have them: one line a situation, its command, its exit code and its words."""

import time
from pathlib import Path

import pytest

NEVER = b""


def silent(_):
    return b""


def logs(chunk):
    return b"I (312) wifi: scanning\r\n" * 12


URLS = {
    "a pty": lambda wires, feed: f"serial:{wires.pty(feed)}",
    "a pty with a baud": lambda wires, feed: f"serial:{wires.pty(feed)}?baud=57600",
    "socket://": lambda wires, feed: f"serial:socket://127.0.0.1:{wires.tcp(feed)}",
    "rfc2217://": lambda wires, feed: f"serial:rfc2217://127.0.0.1:{wires.rfc2217(feed)}",
    "rfc2217:// with an option": lambda wires, feed: f"serial:rfc2217://127.0.0.1:{wires.rfc2217(feed)}?timeout=4",
    "spy://": lambda wires, feed: f"serial:spy://{wires.pty(feed)}?file=seen.txt",
    "alt://": lambda wires, feed: f"serial:alt://{wires.pty(feed)}?class=Serial",
    "hwgrep://": lambda wires, feed: "serial:hwgrep://.*no-such-port.*",
}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("a pty", "free\tvendor model, serial number serial"),
        ("a pty with a baud", "free\tvendor model"),
        ("socket://", "free\tvendor model"),
        ("rfc2217://", "free\tvendor model"),
        ("rfc2217:// with an option", "free\tvendor model"),
        ("spy://", "free\tvendor model"),
        ("alt://", "free\tvendor model"),
        ("hwgrep://", "refused"),
    ],
)
def test_every_url_form_of_the_page_meets_a_real_server(form, words, wires, board, hil, tmp_path):
    address = URLS[form](wires, board().feed)
    found = hil("devices", address, "--wait", 3)
    assert (found.code, words in found.out) == (0, True), found.said
    if form == "spy://":
        seen = (tmp_path / "seen.txt").read_text()
        assert "TX" in seen and "RX" in seen, "a spy that saw nothing"
        again = hil("devices", address)
        assert "seen.txt is there, and spy:// would replace it" in again.out, again.out


def test_loop_answers_with_what_was_asked_and_says_so(hil):
    found = hil("devices", "serial:loop://", "--wait", 0.3)
    assert found.code == 0 and "damaged" in found.out, found.said


SILENT_OR_ODD = [  # what is there, command, state or exit code, words, longest wait in seconds
    ("nothing answers on a port", ("pty", silent), "devices", "silent", "", 20),
    ("nothing answers on a socket", ("tcp", silent), "devices", "silent", "one client at a time", 20),
    ("a log instead of frames", ("pty", logs), "devices", "damaged", "bytes came", 20),
    ("a log instead of frames, training", ("pty", logs), "train", 3, "bytes came with 0 sound frames", 20),
    ("a log, on a socket", ("tcp", logs), "clear", 3, "I (312) wifi", 20),
    ("nothing answers, training", ("pty", silent), "train", 3, "Check cable, power and address", 20),
    ("nothing answers, clear", ("pty", silent), "clear", 3, "settle_after_open_s", 20),
    ("a second client is closed", ("full", silent), "train", 3, "one client at a time", 20),
    ("a second client is kept waiting", ("tcp", silent), "clear", 3, "one client at a time", 20),
]


@pytest.mark.parametrize("row", SILENT_OR_ODD, ids=lambda row: row[0])
def test_what_came_is_said_and_cable_and_power_only_where_nothing_did(row, wires, hil):
    _, (kind, feed), command, wanted, words, seconds = row
    place = wires.pty(feed) if kind == "pty" else wires.tcp(feed, clients=0 if kind == "full" else 8)
    address = f"serial:{place}" if kind == "pty" else f"serial:socket://127.0.0.1:{place}"
    bench(address, open_timeout_s=0.7)
    began = time.monotonic()
    if command == "devices":
        found = hil("devices", address, "--wait", 0.4)
        assert found.code == 0 and f"\t{wanted}" in found.out, found.said
    else:
        what = ("train", "digits") if command == "train" else ("clear",)
        found = hil(*what, "--bench", "lab.toml", "--device", "a")
        assert found.code == wanted, found.said
        assert ("cable" in found.err) == (feed is silent and kind != "full"), found.err
    assert words in found.said, found.said
    assert time.monotonic() - began < seconds


def bench(address, **keys):
    said = "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in keys.items())
    Path("lab.toml").write_text(f'[devices.a]\naddress = "{address}"\n{said}', encoding="utf-8")


DEAF = [  # the wire, deaf for, what the bench file says, found
    ("pty", 0.7, {"open_timeout_s": 3.0}, True),
    ("pty", 1.7, {}, True),
    ("tcp", 1.6, {}, True),
    ("tcp", 0.5, {"settle_after_open_s": 0.6}, True),
    ("pty", 0.7, {"open_timeout_s": 3.0, "dtr": "leave", "rts": "leave"}, True),
    ("pty", 0.0, {"dtr": "off", "rts": "off"}, True),
    ("pty", 60.0, {"open_timeout_s": 0.6}, False),
]
BOOTS = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n"


@pytest.mark.parametrize("row", DEAF, ids=lambda row: str(row[0]))
def test_a_board_that_starts_anew_when_its_port_opens_is_asked_until_it_answers(row, wires, board, hil):
    kind, deaf_s, keys, answers = row
    if kind == "pty":
        address = f"serial:{wires.pty(board().feed, BOOTS, deaf_s)}"
    else:
        address = f"serial:socket://127.0.0.1:{wires.tcp(board().feed, BOOTS, deaf_s=deaf_s)}"
    bench(address, **keys)
    found = hil("clear", "--bench", "lab.toml", "--device", "a")
    assert found.code == (0 if answers else 3), found.said
    assert ("SAFE" in found.out) if answers else ("ets Jul 29" in found.err and "SYNC, sent" in found.err), found.said


MESSAGES = [  # arguments, exit code, words
    (("devices", "serial:/dev/ttyNONE77"), 0, "refused"),
    (("devices", "serial:foo://x"), 0, "refused"),
    (("devices", "visa:USB0::1::2::3::INSTR"), 0, "refused"),
    (("devices", "visa:GPIB0::9::INSTR"), 0, "refused"),
    (("devices", "visa:TCPIP::127.0.0.1::1::SOCKET"), 0, "refused"),
    (("devices", "visa:NOTHING::1"), 0, "refused"),
    (("devices", "visa:TCPIP::127.0.0.1::1::SOCKET", "--visa-library", "@nope"), 0, "--visa-library"),
    (("devices", "visa:TCPIP::127.0.0.1::1::SOCKET", "--visa-library", "/no/such.so"), 0, "refused"),
    (("devices", "serial:socket://no.such.host.invalid:1"), 0, "no such host"),
    (("devices", "serial:rfc2217://no.such.host.invalid:1"), 0, "no such host"),
    (("devices", "serial:socket://127.0.0.1"), 0, "HOST and PORT, 1 to 65535"),
    (("devices", "serial:socket://127.0.0.1:99999"), 0, "HOST and PORT, 1 to 65535"),
    (("devices", "serial:socket://127.0.0.1:abc"), 0, "HOST and PORT, 1 to 65535"),
    (("devices", "serial:rfc2217://127.0.0.1"), 0, "HOST and PORT, 1 to 65535"),
    (("devices", "serial:rfc2217://127.0.0.1:1?bogus=1"), 0, "unknown option"),
    (("devices", "serial:spy:///dev/none?bogus=1"), 0, "unknown option"),
    (("devices", "serial:loop://?logging=x"), 0, "its options"),
    (("devices", "serial:alt:///dev/none?class=Nope"), 0, "its options"),
    (("devices", "serial:/etc/passwd"), 0, "no serial port"),
    (("devices", "serial:/dev/zero"), 0, "no serial port"),
    (("devices", "serial:/tmp"), 0, "refused"),
    (("train", "digits", "--device", "visa:GPIB0::9::INSTR"), 3, "library"),
    (("train", "digits", "--device", "serial:/dev/ttyNONE77"), 3, "hil devices"),
    (("train", "digits", "--device", "serial:/dev/x?baud=9600&baud=115200"), 2, "baud is given twice"),
    (("train", "digits", "--device", "serial:/dev/x?baud=fast"), 2, "a positive integer"),
    (("train", "digits", "--device", "emulator:mixed-8bit?seed=1&seed=2"), 2, "seed is given twice"),
    (("train", "digits", "--device", "reference:?arithmetic=full&arithmetic=mixed"), 2, "arithmetic is given twice"),
]


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: " ".join(row[0]))
def test_what_cannot_be_opened_is_refused_in_one_line_with_its_reason(row, hil):
    arguments, code, words = row
    found = hil(*arguments)
    assert (found.code, words in found.said) == (code, True), found.said
    assert "cable" not in found.said and "Traceback" not in found.said
    lines = [line for line in found.said.splitlines() if line.strip()]
    assert len(lines) <= 4 and all(len(line) < 900 for line in lines)


def test_the_lines_of_a_table_stay_lines_whatever_a_library_or_a_box_says(wires, crossbar_box, hil):
    """One evil box, one sound one, one missing: three lines, all looked at."""
    evil = wires.tcp(lambda _: b"ACME\x1b[2J\tBOX\r,1\x00\x00,2\n")
    sound = wires.tcp(crossbar_box().feed)
    found = hil("devices", *(f"visa:TCPIP::127.0.0.1::{port}::SOCKET" for port in (evil, 1, sound)))
    lines = [line.split("\t") for line in found.out.splitlines() if "TCPIP" in line]
    assert [line[1] for line in lines] == ["free", "refused", "free"], found.out
    assert lines[2][2] == "vendor,model,serial,firmware"
