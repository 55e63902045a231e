"""Counterparts that break promises: hosts that hang, devices that lie, hold on or never stop talking."""

import threading
import time

import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.datasheet import load
from firmware_specs.datasheet.pulses import Pulses

DOORS = {"pty": Doors(pty=True), "socket": Doors(tcp=0), "scpi": Doors(scpi=0), "hislip": Doors(hislip=0)}


@pytest.fixture(autouse=True)
def locks_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def served():
    """`served(door)`: a sound virtual instrument on a real wire, in a thread."""
    running = []

    def serve(door):
        sheet = load("mixed-8bit").model_copy(update={"pulses": Pulses(law="soft_bounds", step=0.01)})
        board = Board(Device(Chip(sheet, 0)), DOORS[door])
        thread = threading.Thread(target=board.run, daemon=True)
        thread.start()
        running.append((board, thread))
        return board

    yield serve
    for board, thread in running:
        board.stop()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.002)
