"""A device that keeps talking does not hold the host: deadline plus 10 %, signals served, memory bounded."""

import importlib.util
import resource
import signal
from pathlib import Path

import pytest

from drivers.errors import LinkError
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.serial_port import SerialPort
from drivers.visa import VisaSession


def beside(name):
    spec = importlib.util.spec_from_file_location(f"adversary_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


busy, board, instrument = (beside(name) for name in ("busy", "board", "instrument"))
floods, doors = (beside(name) for name in ("floods", "network_doors"))
TIMEOUT_S, ANSWER_S, BUSY_MACHINE_S, MOST_KB = 0.5, 0.5, 0.5, 200_000
ALARM_S = 0.1
"""After so long a signal comes."""
FRAMES = tuple(floods.frame_floods(board.PlainBoard()))


class Alarm:
    """A signal in the middle of the flood; how late its handler ran, without what the machine kept it waiting."""

    def __enter__(self):
        self.late_s = []
        clock = busy.Clock()
        self._before = signal.signal(signal.SIGALRM, lambda number, frame: self.late_s.append(clock.own_s - ALARM_S))
        signal.setitimer(signal.ITIMER_REAL, ALARM_S)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)


def check(dialect, deadline_s):
    """Asks for the status, which is answered by a flood."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock = busy.Clock()
    with Alarm() as alarm, pytest.raises(LinkError):
        dialect.status()
    took_s, own_s = clock.took_s, clock.own_s
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{took_s:.2f} s, {own_s:.2f} s its own, of {deadline_s:.2f} s, {grown} kB")
    assert own_s < deadline_s * 1.1 + BUSY_MACHINE_S
    assert grown < MOST_KB
    if took_s > 0.2:
        assert alarm.late_s and alarm.late_s[0] < 0.3 + BUSY_MACHINE_S


def frames(door, how, pseudo_terminal):
    device = board.PlainBoard()
    flooder = floods.Flooder(
        device, lambda data: device.session and device.last, lambda: floods.frame_floods(device)[how]
    )
    url = flooder.on_pty(pseudo_terminal) if door == "pty" else f"socket://127.0.0.1:{flooder.on_socket()}"
    wire = SerialPort(url)
    try:
        dialect = Framed(FramedLink(wire), TIMEOUT_S)
        dialect.open(5.0)
        dialect.identify()
        check(dialect, TIMEOUT_S + ANSWER_S)
    finally:
        wire.close()
        flooder.close()


def messages(how):
    flooder = floods.Flooder(instrument.PlainInstrument(), asked_for_status(), lambda: floods.SCPI_FLOODS[how])
    wire = VisaSession(f"TCPIP::127.0.0.1::{flooder.on_socket()}::SOCKET")
    try:
        dialect = Scpi(ScpiLink(wire), TIMEOUT_S)
        dialect.link.open(5.0)
        check(dialect, TIMEOUT_S)
    finally:
        wire.close()
        flooder.close()


def asked_for_status():
    return lambda data: b"STAT:DEV?" in data


def hislip(how):
    flooder = doors.HislipFlooder(instrument.PlainInstrument(), how)
    wire = VisaSession(f"TCPIP::127.0.0.1::hislip0,{flooder.port}::INSTR")
    try:
        dialect = Scpi(ScpiLink(wire), TIMEOUT_S)
        dialect.link.open(5.0)
        check(dialect, TIMEOUT_S)
    finally:
        wire.close()
        flooder.close()


@pytest.mark.parametrize("how", FRAMES)
def test_endless_frames_end_with_the_deadline(how, pseudo_terminal):
    frames("socket" if FRAMES.index(how) % 2 else "pty", how, pseudo_terminal)


@pytest.mark.soak
@pytest.mark.parametrize("door", ["pty", "socket"])
@pytest.mark.parametrize("how", FRAMES)
def test_endless_frames_end_with_the_deadline_at_every_door(door, how, pseudo_terminal):
    frames(door, how, pseudo_terminal)


@pytest.mark.parametrize("how", floods.SCPI_FLOODS)
def test_endless_answers_of_an_instrument_end_with_the_deadline(how):
    messages(how)


@pytest.mark.parametrize("how", doors.HISLIP_FLOODS)
def test_endless_hislip_messages_end_with_the_deadline(how):
    hislip(how)
