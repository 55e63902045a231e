"""Outputs are off within a second of a signal on boards that take their stated time, whatever the host was doing."""

import signal
import subprocess
import threading
import time

import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.codes import State
from firmware_specs.datasheet import Datasheet, load

HOST = """
import sys
import numpy as np
from drivers.connect import connect
from drivers.doors import Options
from firmware_specs.messages import Region
from firmware_specs.chains import dense_chain

address, doing = sys.argv[1:]
rng = np.random.default_rng(0)
region = Region(0, 0, 0, 0, 33, 0, 16)
with connect(address, Options(watchdog_s=30.0, timeout_s=20.0)) as crossbar:
    crossbar.configure(0, dense_chain([32, 16]))
    crossbar.arm()
    print("armed", flush=True)
    while True:
        if doing == "settling":
            drive, nudge = rng.uniform(-1e-4, 1e-4, (32, 32)), rng.uniform(-1e-6, 1e-6, (32, 16))
            crossbar.settle(0, drive, [nudge, -nudge])
        elif doing == "writing":
            crossbar.program(0, [rng.uniform(1e-6, 1e-4, (2, 33, 16))])
        elif doing == "pulsing":
            crossbar.pulse(region, up=True, amplitude_v=1.0, width_s=1e-3, count=20)
        else:
            crossbar.measure(region, [0.1, 0.05], reads=20)
"""
SLOW = {
    "settling": {"settle": {"time_s": 20e-3}},
    "writing": {"programming": {"write_time_s": 20e-3}},
    "pulsing": {"programming": {"write_time_s": 5e-3}},
    "measuring": {"settle": {"read_time_s": 5e-3}},
}
"""What takes its time, and what the host does: each takes longer than a second when it is not cut."""
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
DOORS = {"pty": Doors(pty=True), "socket": Doors(tcp=0), "scpi": Doors(scpi=0)}


def slow_sheet(doing):
    document = load("mixed-8bit").model_dump(mode="json", exclude_none=True)
    document["pulses"] = {"law": "soft_bounds", "step": 0.01}
    for section, keys in SLOW[doing].items():
        document[section] = document[section] | keys
    return Datasheet.model_validate(document)


@pytest.fixture
def slow_board():
    """`slow_board(doing, doors)`: a virtual instrument that takes its stated time."""
    running = []

    def serve(doing, doors):
        board = Board(Device(Chip(slow_sheet(doing), seed=0), work=time.sleep), doors)
        thread = threading.Thread(target=board.run, daemon=True)
        thread.start()
        running.append((board, thread))
        return board

    yield serve
    for board, thread in running:
        board.stop()
        thread.join(30)


@pytest.fixture
def start_host(python):
    running = []

    def start(*command):
        host = python.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(host)
        return host

    yield start
    for host in running:
        host.kill()
        host.communicate()


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.001)


def check(longer, slow_board, start_host, doing, door, name, again=0):
    board = slow_board(doing, DOORS[door])
    host, device = start_host("-c", HOST, board.addresses[0], doing), board.device
    assert host.stdout.readline() == "armed\n", host.stderr.read()
    begun = len(device.journal.of("request"))
    wait_for(lambda: len(device.journal.of("request")) > begun)  # the first long request is under way, or was
    number, sent = getattr(signal, name), time.monotonic()
    for _ in range(1 + again):
        host.send_signal(number)
    wait_for(lambda: not device.outputs.on)
    off = device.journal.of("outputs")[-1]
    print(f"{name} while {doing}, {door}: outputs off after {1000 * (off.time_s - sent):.0f} ms")
    assert off.time_s - sent < 1.0 * longer()
    assert "asked by" in off.text or "new session" in off.text
    _, errors = host.communicate()
    assert host.returncode in (128 + number, -number), errors
    assert "could not be confirmed" not in errors
    assert device.outputs.state is State.SAFE


@pytest.mark.parametrize(("doing", "door"), [("settling", "pty"), ("writing", "socket"), ("pulsing", "scpi")])
def test_outputs_are_off_within_a_second_of_sigterm(longer, slow_board, start_host, doing, door):
    check(longer, slow_board, start_host, doing, door, "SIGTERM")


def test_a_second_interrupt_changes_nothing(longer, slow_board, start_host):
    check(longer, slow_board, start_host, "measuring", "pty", "SIGINT", again=3)


@pytest.mark.soak
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("doing", SLOW)
def test_outputs_are_off_within_a_second_of_every_signal(longer, slow_board, start_host, doing, door, name):
    for again in (0, 2):
        check(longer, slow_board, start_host, doing, door, name, again)


@pytest.mark.parametrize("again", [0, 3])
def test_a_training_is_off_within_a_second_and_says_the_sentence(longer, slow_board, start_host, tmp_path, again):
    board = slow_board("settling", DOORS["pty"])
    device = board.device
    host = start_host(
        "-m", "hil", "train", "digits", "--device", board.addresses[0], "--run-dir", str(tmp_path / "run"),
        "--set", "run.epochs=1", "--set", "data.train_samples=320", "--set", "data.test_samples=32",
    )  # fmt: skip
    wait_for(lambda: any(event.text == "SETTLE" for event in device.journal.of("request")), 50)
    sent = time.monotonic()
    for _ in range(1 + again):
        host.send_signal(signal.SIGINT)
        time.sleep(0.02)
    wait_for(lambda: not device.outputs.on)
    off = device.journal.of("outputs")[-1]
    print(f"SIGINT while training: outputs off after {1000 * (off.time_s - sent):.0f} ms")
    assert off.time_s - sent < 1.0 * longer()
    for _ in range(again):
        host.send_signal(signal.SIGINT)
    said, errors = host.communicate()
    assert host.returncode == 130, errors
    assert "stopped by SIGINT" in said and "--resume goes on" in said
    assert not errors.strip()
    assert device.outputs.state is State.SAFE


SLOW_DISK = """
import os, sys, time
real = os.fsync
os.fsync = lambda file: (time.sleep(2.0 if os.path.exists(sys.argv[1]) else 0.0), real(file))[1]
from hil.cli import main
main(sys.argv[2:])
"""


def test_a_slow_disk_does_not_hold_up_the_switching_off(longer, slow_board, start_host, tmp_path):
    """The checkpoint of a training that is stopped takes its time, behind outputs that are off."""
    board, flag = slow_board("settling", DOORS["pty"]), tmp_path / "slow"
    device = board.device
    host = start_host(
        "-c", SLOW_DISK, str(flag),
        "train", "digits", "--device", board.addresses[0], "--run-dir", str(tmp_path / "run"),
        "--set", "run.epochs=1", "--set", "data.train_samples=320", "--set", "data.test_samples=32",
    )  # fmt: skip
    wait_for(lambda: any(event.text == "SETTLE" for event in device.journal.of("request")), 50)
    flag.touch()
    sent = time.monotonic()
    host.send_signal(signal.SIGTERM)
    wait_for(lambda: not device.outputs.on)
    off = device.journal.of("outputs")[-1]
    print(f"SIGTERM while training, slow disk: outputs off after {1000 * (off.time_s - sent):.0f} ms")
    assert off.time_s - sent < 1.0 * longer()
    flag.unlink()
    _, errors = host.communicate()
    assert host.returncode == 143 and not errors.strip()
    assert device.outputs.state is State.SAFE
