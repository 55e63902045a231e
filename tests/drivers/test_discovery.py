import os
import subprocess
import sys

import pytest

from drivers.discovery import discover, look_at, port_users
from drivers.errors import OutOfRange
from drivers.lock import DeviceLock
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.datasheet import load


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


def test_instrument_says_who_it_is(machine, tcp_wire):
    host, port = tcp_wire(ScpiEndpoint(machine, "scpi").feed).address
    found = look_at(f"visa:TCPIP::{host}::{port}::SOCKET")
    assert found.state == "free" and "serial number seed-5" in found.who


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
    assert look_at("serial:socket://{}:{}".format(*silent.address), probe_s=0.1).state == "silent"
    silent.cut()
    assert look_at("serial:socket://{}:{}".format(*silent.address), probe_s=0.1).state == "refused"
    missing = look_at("serial:/dev/no-such-port")
    assert missing.state == "refused" and "No such file" in missing.who


def test_listing_takes_further_addresses_and_refuses_what_is_none(tcp_wire):
    silent = tcp_wire(lambda chunk: b"")
    address = "serial:socket://{}:{}".format(*silent.address)
    assert address in [found.address for found in discover([address], probe_s=0.05)]
    with pytest.raises(OutOfRange, match="no device address"):
        look_at("emulator:ideal")
