"""Outputs go off however the host ends: seen from the device, with a host in a process of its own."""

import importlib.util
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.connect import connect
from drivers.doors import Options
from drivers.errors import Busy, DeviceError, DeviceFault, LinkLost, OutputsUncertain
from emulator.faults import FaultPlan
from emulator.serve import Doors, SocketLink
from firmware_specs.chains import dense_chain
from firmware_specs.codes import State, Trip
from hil.counterparts.described import datasheet_of
from hil.counterparts.device import DeviceBench

spec = importlib.util.spec_from_file_location("busy", Path(__file__).parents[1] / "adversary" / "busy.py")
busy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(busy)

HOST = """
import sys, threading
import numpy as np
from drivers.connect import connect
from drivers.doors import Options
from drivers.errors import DeviceError
from firmware_specs.messages import Region
from firmware_specs.chains import dense_chain

address, state, watchdog_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
rng = np.random.default_rng(0)
with connect(address, Options(watchdog_s=watchdog_s, timeout_s=20.0)) as crossbar:
    crossbar.configure(0, dense_chain([32, 16]))
    crossbar.arm()
    crossbar.program(0, [rng.uniform(1e-6, 1e-4, (2, 33, 16))])
    print("armed", flush=True)
    if state == "idle":
        threading.Event().wait(60)
    while True:
        if state == "programming":
            crossbar.program(0, [rng.uniform(1e-6, 1e-4, (2, 33, 16))])
        elif state == "pulsing":
            crossbar.pulse(Region(0, 0, 0, 0, 8, 0, 8), up=True, amplitude_v=1.0, width_s=1e-6, count=1)
        else:
            crossbar.settle(0, rng.uniform(-1e-4, 1e-4, (64, 32)))
"""
STATES = ("idle", "programming", "pulsing", "settling", "reconnecting")
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
KILL_DOORS = {"pty": Doors(pty=True), "socket": Doors(tcp=0), "scpi": Doors(scpi=0), "hislip": Doors(hislip=0)}
WATCHDOG_S = 0.5
ASKED = ("asked by", "new session")


@pytest.fixture
def start_host(served, python):
    """Starts a host process on a virtual instrument of its own and waits until its outputs are on."""
    running = []

    def start(state, watchdog_s=60.0, doors=None):
        faults = FaultPlan({"lost_reply": 0.1}, seed=1) if state == "reconnecting" else None
        board = served(doors or Doors(pty=True), "pulsed", faults=faults)
        host = python.popen(
            ["-c", HOST, board.addresses[0], state, str(watchdog_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        running.append(host)
        assert host.stdout.readline() == "armed\n", host.stderr.read()
        assert board.device.outputs.on
        return host, board.device

    yield start
    for host in running:
        host.kill()
        host.communicate()


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.001)


def off_after(host, device, number):
    """Sends a signal; returns how long outputs stayed on and why they went off."""
    assert host.poll() is None
    sent = time.monotonic()
    host.send_signal(number)
    wait_for(lambda: not device.outputs.on)
    event = device.journal.of("outputs")[-1]
    return event.time_s - sent, event.text


def check_signal(longer, start_host, state, name):
    host, device = start_host(state)
    seconds, why = off_after(host, device, getattr(signal, name))
    print(f"{name} while {state}: outputs off after {1000 * seconds:.0f} ms")
    assert any(word in why for word in ASKED), why
    assert seconds < 1.0 * longer()
    _, errors = host.communicate()
    assert host.returncode in (128 + getattr(signal, name), -getattr(signal, name)), errors
    assert device.outputs.state is State.SAFE
    assert "could not be confirmed" not in errors


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_switches_the_outputs_off_while_settling(longer, start_host, name):
    check_signal(longer, start_host, "settling", name)


@pytest.mark.parametrize("state", [state for state in STATES if state != "settling"])
def test_sigterm_switches_the_outputs_off_in_every_state(longer, start_host, state):
    check_signal(longer, start_host, state, "SIGTERM")


@pytest.mark.soak
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_in_every_state_switches_the_outputs_off(longer, start_host, state, name):
    check_signal(longer, start_host, state, name)


def test_second_interrupt_does_not_stop_the_switching_off(start_host):
    host, device = start_host("settling")
    for _ in range(5):
        host.send_signal(signal.SIGINT)
    wait_for(lambda: not device.outputs.on)
    host.communicate()
    assert any(word in device.journal.of("outputs")[-1].text for word in ASKED)


def check_kill(start_host, state, doors, number=signal.SIGKILL):
    """By the device's own log and clock: how long after it last heard of its host did the outputs go off?"""
    host, device = start_host(state, WATCHDOG_S, doors)
    clock = busy.Clock()
    host.send_signal(number)
    wait_for(lambda: not device.outputs.on)
    kept_s = clock.took_s - clock.own_s  # the device is a thread of this process, and waits where it does
    off = device.journal.of("outputs")[-1]
    heard = [event.time_s for event in device.journal.of("request") if event.time_s < off.time_s]
    longest = max(np.diff(heard), default=0.0)  # the last request may have been at work that long
    print(f"{off.text}: {1000 * off.values['silent_s']:.1f} ms after the last sign of life")
    assert device.outputs.trip_cause in (Trip.WATCHDOG, Trip.LINK_LOST)
    assert off.values["silent_s"] <= WATCHDOG_S + 0.1 + kept_s
    assert off.time_s - heard[-1] <= WATCHDOG_S + 0.1 + longest + kept_s
    return host, device


@pytest.mark.parametrize("doors", KILL_DOORS.values(), ids=KILL_DOORS)
def test_killed_host_leaves_outputs_off_within_100_ms_of_the_watchdog(start_host, doors):
    check_kill(start_host, "settling", doors)


@pytest.mark.soak
@pytest.mark.parametrize("doors", KILL_DOORS.values(), ids=KILL_DOORS)
@pytest.mark.parametrize("state", STATES)
def test_host_killed_in_every_state_leaves_outputs_off(start_host, state, doors):
    for _ in range(5):
        check_kill(start_host, state, doors)


def test_frozen_host_is_switched_off_by_the_watchdog(start_host):
    host, device = check_kill(start_host, "idle", Doors(pty=True), signal.SIGSTOP)
    host.send_signal(signal.SIGCONT)
    assert device.outputs.trip_cause is Trip.WATCHDOG


@pytest.fixture
def board(served):
    return served(Doors(tcp=0))


@pytest.fixture
def watchdog_s(longer):
    """Longer than a busy machine keeps a living host from showing life."""
    return 0.4 * longer()


@pytest.fixture
def crossbar(board, watchdog_s):
    with connect(board.addresses[0], Options(watchdog_s=watchdog_s)) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        yield crossbar


def test_heartbeat_keeps_an_idle_host_alive(board, crossbar, watchdog_s):
    crossbar.arm()
    armed_at = time.monotonic()
    wait_for(lambda: sum(event.text == "HEARTBEAT" for event in board.device.journal.of("request")) >= 8)
    assert time.monotonic() - armed_at > watchdog_s
    assert board.device.outputs.on


def test_watchdog_is_set_before_outputs_go_on(board, crossbar):
    crossbar.arm()
    texts = [event.text for event in board.device.journal.of("request")]
    assert texts.index("WATCHDOG") < texts.index("ARM")


def test_second_process_is_told_who_owns_the_device(python, board, crossbar):
    done = python.run(
        ["-c", "import sys; from drivers.connect import connect; connect(sys.argv[1])", board.addresses[0]],
        capture_output=True,
    )
    assert "Busy" in done.stderr and f"process {os.getpid()} of" in done.stderr
    assert board.device.journal.of("link")[-1].text != "second connection refused: one client at a time"


def test_lost_ownership_switches_off_and_stops_the_run(board, crossbar):
    crossbar.arm()
    crossbar.session._lock.path.unlink()
    with pytest.raises(Busy, match="ownership of the device was lost"):
        while True:
            crossbar.settle(0, np.zeros((1, 6)))
    wait_for(lambda: not board.device.outputs.on)
    assert board.device.outputs.state is State.SAFE


def test_pulled_cable_stops_the_run_with_one_sentence_and_trips_the_device(board, crossbar):
    crossbar.arm()
    crossbar.program(0, [np.full((2, 7, 4), 5e-5)])
    for link in [channel for channel in board._server._channels if isinstance(channel, SocketLink)]:
        link._socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(LinkLost, match=r"(?s)connection is gone.*watchdog turns them off"):
        while True:
            crossbar.settle(0, np.zeros((1, 6)))
    wait_for(lambda: not board.device.outputs.on)
    with pytest.raises(DeviceError):
        crossbar.settle(0, np.zeros((1, 6)))
    with pytest.raises(OutputsUncertain, match=r"they may be on; the device's watchdog turns them off"):
        crossbar.close()


def test_bench_does_not_arm_again_after_a_trip(board, crossbar):
    bench = DeviceBench(crossbar, "x", datasheet_of(crossbar.info, "x"))
    bench.arm()
    board.device.trip(Trip.OVER_TEMPERATURE, "too hot")
    for _ in range(3):
        bench.arm()
        with pytest.raises(DeviceFault, match="TRIPPED"):
            crossbar.settle(0, np.zeros((1, 6)))
    assert board.device.outputs.state is State.TRIPPED


def test_host_that_comes_back_finds_outputs_off_and_may_go_on(board):
    abandon(connect_and_arm(board))
    wait_for(lambda: not board.device.outputs.on)
    with connect(board.addresses[0]) as second:
        assert second.session.status().state is State.SAFE


def test_emergency_stop_wants_a_person_before_the_next_run(board):
    abandon(connect_and_arm(board), lambda: board.device.trip(Trip.EMERGENCY_STOP, "button"))
    for _ in range(2):
        with pytest.raises(DeviceFault, match=r"tripped: EMERGENCY_STOP.*hil clear"):
            connect(board.addresses[0])
    assert board.device.outputs.state is State.TRIPPED
    with connect(board.addresses[0], Options(clear_trip=True)) as crossbar:
        assert crossbar.session.status().state is State.SAFE


def connect_and_arm(board):
    crossbar = connect(board.addresses[0], Options(watchdog_s=60.0))
    crossbar.configure(0, dense_chain([6, 4]))
    crossbar.arm()
    return crossbar


def abandon(crossbar, before=lambda: None):
    """What is left when a host dies: no lock, no wire, nobody to switch off."""
    before()
    session = crossbar.session
    session._outputs.rest()
    session._outputs.leave_signals()
    session._outputs.armed, session._closed = False, True
    session._lock.release()
    session.dialect.close()
