import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tomli_w

from drivers.connect import connect
from drivers.discovery import discover, look_at
from drivers.doors import Options
from drivers.errors import DeviceError
from drivers.lock import DeviceLock
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.datasheet import load
from firmware_specs.platform import port_users
from hil.cli import main


@pytest.fixture
def probe_s(longer):
    """So long an answer may take that does come: what a port has not read by then its closing throws away."""
    return 0.2 * longer()


def within(seconds):
    return Options(timeout_s=seconds, open_timeout_s=seconds)


@pytest.fixture
def machine():
    return Machine(Device(Chip(load("mixed-8bit"), 5)))


@pytest.fixture(autouse=True)
def locks_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))


def test_device_on_a_free_port_says_who_it_is(machine, tcp_wire):
    host, port = tcp_wire(SerialEndpoint(machine, "tcp").feed).address
    found = look_at(f"serial:socket://{host}:{port}")
    assert found.state == "free"
    assert "mixed-8bit" in found.who and "serial number seed-5" in found.who


def test_an_instrument_is_asked_idn_and_nothing_else(machine, tcp_wire):
    wire = tcp_wire(ScpiEndpoint(machine, "scpi").feed)
    found = look_at("visa:TCPIP::{}::{}::SOCKET".format(*wire.address))
    assert found.state == "free" and found.who == "crossbar-hil,mixed-8bit,seed-5,1.0.0"
    assert bytes(wire.received) == b"*IDN?\n"


ANSWERS = {
    "another maker": (b"KEITHLEY INSTRUMENTS,MODEL 2450,04412345,1.7.12b\r\n", "free", "MODEL 2450"),
    "escape sequences": (b"\x1b[31mACME,X,1,2\x1b]0;t\x07\n", "free", r"\x1b[31mACME"),
    "a NUL": (b"ACME,X,1,2\0\n", "free", "ACME,X,1,2"),
    "an empty line": (b"\n", "damaged", "1 bytes came that are no answer"),
    "no end": (b"x" * 5000, "damaged", "bytes came that are no answer"),
    "no newline": (b"ACME,X", "damaged", "6 bytes came that are no answer"),
    "other bytes": (bytes(range(128, 256)), "damaged", "128 bytes came"),
    "nothing": (b"", "silent", ""),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_whatever_an_instrument_answers_is_one_printable_line(case, tcp_wire, probe_s):
    said, state, words = ANSWERS[case]
    wire = tcp_wire(lambda chunk: said)
    found = look_at("visa:TCPIP::{}::{}::SOCKET".format(*wire.address), options=within(probe_s))
    assert (found.state, words in found.who) == (state, True), found
    assert found.who.isprintable() and len(found.who) < 800
    assert bytes(wire.received) == b"*IDN?\n"


@pytest.mark.parametrize("said", [b"\x00\xff" * 28, b"login: ", b"\x7e" * 56, bytes(range(256))])
def test_bytes_that_are_no_frame_are_told_from_silence_and_their_traffic_is_kept(
    said, pty_wire, tmp_path, monkeypatch, probe_s
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = look_at(f"serial:{pty_wire(lambda chunk: said).address}", options=within(probe_s))
    assert found.state == "damaged"
    assert "bytes came that are no frame: another baud rate than 115200" in found.who
    log = Path(found.who.rpartition("the traffic is in ")[2].rstrip(")"))
    assert said.hex() in log.read_text()
    assert log.parent.stat().st_mode & 0o777 == 0o700


class Port:
    """A port as the system lists it."""

    def __init__(self, device, vid=None, pid=None, serial_number=None, description="USB thing"):
        self.device, self.vid, self.pid = device, vid, pid
        self.serial_number, self.description = serial_number, description


@pytest.fixture
def listed(monkeypatch):
    def of(*ports):
        monkeypatch.setattr("drivers.discovery._ports", lambda: ports)
        monkeypatch.setattr("drivers.discovery._visa_resources", lambda lan: [])

    return of


def test_a_serial_port_that_nobody_named_is_listed_and_not_opened(pty_wire, listed, probe_s):
    printer, board = pty_wire(lambda chunk: b""), pty_wire(lambda chunk: b"")
    listed(Port(printer.address, 0x04A9, 0x220E, "A\x1b[2J"), Port(board.address, 0x2E8A, 0x000A))
    found = {item.address: item for item in discover(probe_s=probe_s)}
    assert {item.state for item in found.values()} == {"not opened"}
    assert found[f"serial:{printer.address}"].who == r"USB thing, USB 04A9:220E, serial number A\x1b[2J"
    assert not printer.received and not board.received

    discover(known_usb=["2e8a:000a"], probe_s=probe_s)
    assert board.received and not printer.received

    named = f"serial:{printer.address}?baud=9600"
    assert named in [item.address for item in discover([named], probe_s=probe_s)]
    assert printer.received


def test_probing_opens_the_rest(pty_wire, listed, probe_s):
    wire = pty_wire(lambda chunk: b"")
    listed(Port(wire.address))
    assert [item.state for item in discover(probe=True, probe_s=probe_s)] == ["silent"]
    assert wire.received


def test_the_command_takes_usb_identities_from_the_bench_file_and_its_datasheets(pty_wire, listed, tmp_path, capsys):
    from hil.cli import main

    boards = [pty_wire(lambda chunk: b"") for _ in range(3)]
    listed(*(Port(wire.address, 0x2E8A, 0x000A + n) for n, wire in enumerate(boards)))
    sheet = load("mixed-8bit").model_dump(mode="json", exclude_none=True)
    sheet["identity"]["usb"] = ["2E8A:000B"]
    (tmp_path / "chip.toml").write_text(tomli_w.dumps(sheet))
    (tmp_path / "lab.toml").write_text(
        '[devices.a]\naddress = "emulator:ideal"\nusb = ["2e8a:000a"]\n'
        '[devices.b]\naddress = "emulator:ideal"\ndatasheet = "chip.toml"\n'
    )
    with pytest.raises(SystemExit) as done:
        main(["devices", "--bench", str(tmp_path / "lab.toml")])
    assert done.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == ["silent", "silent", "not opened"]
    assert [bool(wire.received) for wire in boards] == [True, True, False]


@pytest.mark.long
def test_an_opening_that_fails_says_where_its_traffic_is(tcp_wire, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wire = tcp_wire(lambda chunk: b"garbage\0")
    with pytest.raises(DeviceError) as failed:
        connect("serial:socket://{}:{}".format(*wire.address), Options(timeout_s=0.2))
    note = failed.value.__notes__[0]
    assert "The traffic of this opening is in" in note
    assert b"garbage".hex() in Path(note.rpartition(" in ")[2]).read_text()


def test_owned_device_is_named_with_its_owner_and_not_opened(tcp_wire):
    wire = tcp_wire()
    address = "serial:socket://{}:{}".format(*wire.address)
    with DeviceLock(address):
        found = look_at(address)
    assert found.state == "in use" and f"process {os.getpid()}" in found.owner
    assert not wire.received


def test_port_that_some_program_has_open_is_not_opened(pty_wire):
    wire = pty_wire()
    assert port_users(wire.address) == []
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; held = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()",
            wire.address,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"open\n"
    found = look_at(f"serial:{wire.address}")
    assert found.state == "in use" and f"process {holder.pid} (python" in found.owner
    assert not wire.received
    holder.communicate()


def test_lock_file_of_another_program_counts_only_while_it_lives(tmp_path):
    assert port_users(str(tmp_path / "nothing")) == []


def test_silent_and_missing_devices_are_told_apart(tcp_wire):
    silent = tcp_wire(lambda chunk: b"")
    assert look_at("serial:socket://{}:{}".format(*silent.address), options=within(0.1)).state == "silent"
    silent.cut()
    assert look_at("serial:socket://{}:{}".format(*silent.address), options=within(0.1)).state == "refused"
    missing = look_at("serial:/dev/no-such-port")
    assert missing.state == "refused" and "No such file" in missing.who


def test_listing_takes_further_addresses_and_refuses_what_is_none(tcp_wire):
    silent = tcp_wire(lambda chunk: b"")
    address = "serial:socket://{}:{}".format(*silent.address)
    assert address in [found.address for found in discover([address], probe_s=0.05)]
    stranger = look_at("emulator:ideal")
    assert stranger.state == "refused" and "no device address" in stranger.who


LAB = """
[instruments.smu]
model = "keithley-2450"
address = "USB0::0x05E6::0x2450::04412345::INSTR"

[instruments.meter]
model = "keysight-34465a"
address = "TCPIP0::192.168.0.5::inst0::INSTR"
"""


def test_another_visa_library_is_asked_for_its_own_list(tmp_path, monkeypatch, capsys):
    (tmp_path / "lab.toml").write_text(LAB)
    library = f"{tmp_path / 'lab.toml'}@hil"
    found = {one.address: one for one in discover(visa_library=library) if one.address.startswith("visa:")}
    assert {"2450", "34465A"} == {name for name in ("2450", "34465A") for one in found.values() if name in one.who}
    monkeypatch.setenv("CROSSBAR_HIL_VISA", library)
    with pytest.raises(SystemExit):
        main(["devices"])
    assert "34465A" in capsys.readouterr().out


def test_a_visa_library_that_is_not_installed_is_said_in_a_sentence():
    said = [one for one in discover(visa_library="/nowhere/libvisa.so") if "nowhere" in one.address]
    assert [one.state for one in said] == ["refused"] and "library" in said[0].who
