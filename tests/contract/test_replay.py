"""A recorded session replays as a test: the same verbs get the same answers, byte for byte."""

import itertools
import threading

import numpy as np
import pytest

from drivers.crossbar import Crossbar
from drivers.errors import ProtocolViolation
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.recording import Recorded, Replay
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load


def dialect_over(wire, kind):
    numbers = itertools.count(1)
    if kind == "serial":
        return Framed(FramedLink(wire, nonces=lambda: next(numbers)))
    return Scpi(ScpiLink(wire, nonces=lambda: next(numbers)))


def verbs(crossbar, seed=0):
    draw = np.random.default_rng(seed)
    crossbar.configure(0, dense_chain([6, 4]))
    crossbar.arm()
    crossbar.program(0, [draw.uniform(1e-6, 1e-4, (2, 7, 4))])
    states = crossbar.settle(0, draw.uniform(-1e-4, 1e-4, (3, 6)))
    return states.states_v[0], crossbar.read_conductances(0, 0), crossbar.session.status()


@pytest.mark.parametrize("kind", ["serial", "scpi"])
def test_recorded_session_replays_from_its_file(tmp_path, kind):
    machine = Machine(Device(Chip(load("mixed-8bit"))))
    endpoint = SerialEndpoint(machine, "door") if kind == "serial" else ScpiEndpoint(machine, "door")
    wire = Recorded(Loopback(endpoint.feed))
    with Crossbar(Session(dialect_over(wire, kind), watchdog_s=60.0)) as crossbar:
        first = verbs(crossbar)
    wire.recorder.save(tmp_path / "flight.log", "door")

    replay = Replay.load(tmp_path / "flight.log")
    with Crossbar(Session(dialect_over(replay, kind), watchdog_s=60.0)) as crossbar:
        second = verbs(crossbar)
    assert all(np.array_equal(a, b) for a, b in zip(first[:2], second[:2], strict=True))
    assert first[2] == second[2]


def test_replay_of_other_verbs_is_refused(tmp_path):
    machine = Machine(Device(Chip(load("mixed-8bit"))))
    wire = Recorded(Loopback(SerialEndpoint(machine, "door").feed))
    with Crossbar(Session(dialect_over(wire, "serial"), watchdog_s=60.0)) as crossbar:
        verbs(crossbar)
    crossbar = Crossbar(Session(dialect_over(Replay(wire.recorder.entries), "serial"), watchdog_s=60.0))
    with pytest.raises(ProtocolViolation, match="the recording has"):
        verbs(crossbar, seed=1)
    crossbar.session._outputs.rest()
    crossbar.session._outputs.leave_signals()
    crossbar.session._closed = True


def test_threads_share_one_device_without_mixing_answers(served):
    from drivers.connect import connect
    from emulator.serve import Doors

    board = served(Doors(scpi=0))
    wrong = []

    def work(crossbar, level):
        drive = np.full((2, 6), level, np.float32)
        expected = crossbar.settle(0, drive).clipped.tolist()
        for _ in range(20):
            if crossbar.settle(0, drive).clipped.tolist() != expected:
                wrong.append(level)

    with connect(board.addresses[0]) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 4), 5e-5)])
        threads = [threading.Thread(target=work, args=(crossbar, level)) for level in (0.0, 1.0)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
