"""A host that hangs with outputs on: they go off within the lease plus a second, whatever hangs, seen by the device.

What only the main thread does is the lease's to notice; what stops the whole process is the device's watchdog's.
"""

import subprocess
import time

import numpy as np
import pytest

from drivers.connect import connect
from drivers.doors import Options
from drivers.errors import DeviceFault, LeaseOver, OutOfRange
from firmware_specs.chains import dense_chain
from firmware_specs.codes import State, Trip

LEASE_S, WATCHDOG_S = 0.8, 0.7
HOST = """
import ctypes, os, signal, sys, threading, time
import numpy as np
from drivers.connect import connect
from drivers.doors import Options
from firmware_specs.chains import dense_chain

def busy_loop():
    while True:
        pass

def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def sleep():
    time.sleep(60)

def blocked_print():
    while True:
        print("x" * 1000)

def prompt():
    sys.stdin.read()

def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)

def interpreter_held():
    ctypes.PyDLL(None).sleep(60)

def waits_for_a_thread():
    worker = threading.Thread(target=time.sleep, args=(60,), daemon=True)
    worker.start()
    worker.join()

crossbar = connect(sys.argv[1], Options(watchdog_s=float(sys.argv[4]), lease_s=float(sys.argv[3]), timeout_s=20.0))
crossbar.configure(0, dense_chain([8, 4]))
crossbar.arm()
crossbar.settle(0, np.zeros((1, 8)))
print("armed", time.monotonic(), flush=True)
globals()[sys.argv[2]]()
"""
HANGS = ("busy_loop", "deadlock", "sleep", "blocked_print", "prompt", "stopped", "interpreter_held",
         "waits_for_a_thread")  # fmt: skip
WATCHDOGS = ("stopped", "interpreter_held")
DOORS = ("pty", "scpi", "hislip")


def off_after(python, board, how):
    """Seconds from the host's last verb until the device's outputs were off, by the device."""
    host = python.popen(
        ["-c", HOST, board.addresses[0], how, str(LEASE_S), str(WATCHDOG_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        armed, at = host.stdout.readline().split() or (host.stderr.read(), 0)
        assert armed == "armed"
        end = time.monotonic() + 20.0
        while board.device.outputs.on:
            assert time.monotonic() < end, "outputs stay on"
            time.sleep(0.005)
        assert host.poll() is None, "it was to hang, and ended"
        return board.device.journal.of("outputs")[-1].time_s - float(at)
    finally:
        host.kill()
        host.communicate()


def check(python, board, how):
    seconds = off_after(python, board, how)
    print(f"{how} at {board.addresses[0]}: outputs off after {seconds:.2f} s")
    assert 0.5 * min(LEASE_S, WATCHDOG_S) < seconds < LEASE_S + 1.0
    outputs = board.device.outputs
    if how in WATCHDOGS:
        assert outputs.trip_cause is Trip.WATCHDOG
    else:
        assert outputs.state is State.SAFE, "the lease switches off before the watchdog has to"


@pytest.mark.parametrize("how", HANGS)
def test_hung_host_loses_its_outputs(python, served, how):
    check(python, served(DOORS[HANGS.index(how) % len(DOORS)]), how)


@pytest.mark.soak
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", HANGS)
def test_hung_host_loses_its_outputs_at_every_door(python, served, how, door):
    check(python, served(door), how)


@pytest.fixture
def held(served):
    """A crossbar with outputs on and a lease of a fifth of a second, and its device."""
    board = served("socket")
    with connect(board.addresses[0], Options(lease_s=0.2)) as crossbar:
        crossbar.configure(0, dense_chain([8, 4]))
        crossbar.arm()
        yield crossbar, board.device


def until_off(device):
    end = time.monotonic() + 10
    while device.outputs.on:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_next_verb_says_what_happened_and_nothing_is_armed_again(held):
    crossbar, device = held
    until_off(device)
    with pytest.raises(LeaseOver, match=r"no verb came for 0\.2 s: outputs were switched off, confirmed"):
        crossbar.settle(0, np.zeros((1, 8)))
    assert crossbar.session.status().state is State.SAFE
    with pytest.raises(DeviceFault, match="NOT_ARMED"):
        crossbar.settle(0, np.zeros((1, 8)))


def test_a_person_may_arm_again_by_name(held):
    crossbar, device = held
    until_off(device)
    with pytest.raises(LeaseOver):
        crossbar.arm()
    crossbar.arm()
    crossbar.settle(0, np.zeros((1, 8)))
    assert device.outputs.on


def test_verbs_keep_the_lease(held):
    crossbar, device = held
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        crossbar.settle(0, np.zeros((1, 8)))
    assert device.outputs.on


def test_named_work_keeps_outputs_on_for_as_long_as_it_said(held):
    crossbar, device = held
    with crossbar.session.busy(0.7):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert device.outputs.on
            time.sleep(0.01)
        until_off(device)
    with pytest.raises(LeaseOver):
        crossbar.settle(0, np.zeros((1, 8)))


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9])
def test_named_work_without_a_bound_is_refused(held, seconds):
    crossbar, _ = held
    with pytest.raises(OutOfRange, match="3600"), crossbar.session.busy(seconds):
        pass


def test_leaving_after_the_lease_is_over_is_quiet(held):
    crossbar, device = held
    until_off(device)
    crossbar.close()
    assert device.outputs.state is State.SAFE
