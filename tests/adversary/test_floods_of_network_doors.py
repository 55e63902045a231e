"""VXI-11 and RFC 2217: who keeps talking, or says nothing, holds no host: deadline plus 10 %, bounded memory."""

import importlib.util
import resource
import socket
import struct
import time
from pathlib import Path

import pytest
from pyvisa_py.protocols import hislip, rpc

from drivers.errors import DeviceError, LinkError
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
TIMEOUT_S, ANSWER_S, BUSY_MACHINE_S, MOST_KB = 0.2, 0.5, 0.5, 200_000
STATUS = b"STAT:DEV?"


def grown(begin):
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin


def ends(action, deadline_s):
    before, clock = grown(0), busy.Clock()
    with pytest.raises(LinkError) as ended:
        action()
    own_s = clock.own_s
    print(f"{own_s:.2f} s of {deadline_s:.2f} s, {grown(before)} kB: {ended.value}")
    assert own_s < deadline_s * 1.1 + BUSY_MACHINE_S
    assert grown(before) < MOST_KB


def status_ends(wire, server):
    """An instrument that is opened, and turns hostile when it is asked for its status."""
    try:
        dialect = Scpi(ScpiLink(wire), TIMEOUT_S)
        dialect.link.open(5.0)
        ends(dialect.status, TIMEOUT_S)
    finally:
        wire.close()
        server.close()


@pytest.mark.parametrize("how", doors.VXI11_FLOODS)
def test_a_vxi11_instrument_that_turns_hostile(how):
    server = doors.Vxi11(instrument.PlainInstrument(), how, STATUS)
    wire = VisaSession(server.resource)
    status_ends(wire, server)


@pytest.mark.parametrize("how", doors.RFC2217_FLOODS)
def test_a_port_on_the_network_that_turns_hostile(how):
    device = board.PlainBoard()
    server = doors.Rfc2217(device, how, lambda data: device.session and device.last)
    wire = SerialPort(server.url)
    try:
        dialect = Framed(FramedLink(wire), TIMEOUT_S)
        dialect.open(5.0)
        dialect.identify()
        ends(dialect.status, TIMEOUT_S + ANSWER_S)
    finally:
        wire.close()
        server.close()


def test_what_nobody_reads_off_a_port_on_the_network_stays_with_the_sender(monkeypatch):
    monkeypatch.setattr("drivers.network_port.MOST_AHEAD", 5000)
    server = doors.Rfc2217(board.PlainBoard(), "bytes", bool)
    wire = SerialPort(server.url)
    try:
        wire.write(b"x", time.monotonic() + TIMEOUT_S)
        deadline = time.monotonic() + 10
        while wire._port.in_waiting < 5000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)
        assert wire._port.in_waiting == 5000
        assert wire.read_exact(20_000, deadline) == b"\xa5" * 20_000
    finally:
        wire.close()
        server.close()


def test_a_server_that_reads_nothing_more_costs_the_deadline_of_a_write():
    server = doors.Rfc2217(board.PlainBoard(), "deaf", bool)
    wire = SerialPort(server.url)
    try:
        ends(lambda: wire.write(bytes(1 << 26), time.monotonic() + TIMEOUT_S), TIMEOUT_S)
    finally:
        wire.close()
        server.close()


FEW = ("lines", "huge block")
ALL = [pytest.param(how, marks=() if how in FEW else pytest.mark.soak) for how in floods.SCPI_FLOODS]


@pytest.mark.parametrize("how", ALL)
def test_endless_answers_through_a_visa_serial_port(how, pseudo_terminal):
    flooder = floods.Flooder(instrument.PlainInstrument(), lambda data: STATUS in data, lambda: floods.SCPI_FLOODS[how])
    wire = VisaSession(f"ASRL{flooder.on_pty(pseudo_terminal)}::INSTR")
    status_ends(wire, flooder)


class HislipOpening(doors.Served):
    """Answers the first message with a header of a kind, a length and bytes without an end, or with few."""

    def __init__(self, kind, length, endless):
        self._said, self._endless = struct.pack("!2sBBIQ", b"HS", kind, 0, 65537, length), endless
        super().__init__()

    def serve(self, link):
        link.recv(1000)
        link.sendall(self._said)
        if self._endless:
            self.forever(link, b"x" * 16384)
        self.slowly(link, b"x" * 10**6)


@pytest.mark.parametrize("endless", [True, False], ids=["endless", "slow"])
@pytest.mark.parametrize("kind", [1, 7, 3])
def test_the_first_message_of_a_hislip_instrument_takes_no_memory(kind, endless):
    server = HislipOpening(kind, 1 << 32, endless)
    try:
        ends(
            lambda: VisaSession(f"TCPIP::127.0.0.1::hislip0,{server.port}::INSTR", deadline=time.monotonic() + 0.5), 0.5
        )
    finally:
        server.close()


@pytest.mark.parametrize("how", ["other calls", "fragments", "trickle", "silence"])
def test_a_vxi11_instrument_that_is_hostile_from_the_start(how):
    server = doors.Vxi11(instrument.PlainInstrument(), how, b"")
    try:
        ends(lambda: VisaSession(server.resource, deadline=time.monotonic() + 0.5), 0.5)
    finally:
        server.close()


WORDS = (0, 2, 0x7FFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize("procedure", [doors.CREATE, doors.WRITE, doors.READ, doors.CLEAR])
def test_every_word_of_every_vxi11_reply_is_ours_or_right(procedure):
    """Words of the record mark, of the RPC header and of the results, replaced one by one."""
    refused = 0
    for place in range(9):
        for word in WORDS:

            def spoilt(of, call, reply, place=place, word=word):
                if of != procedure or 4 * place + 4 > len(reply):
                    return reply
                return reply[: 4 * place] + struct.pack("!I", word) + reply[4 * place + 4 :]

            server = doors.Vxi11(instrument.PlainInstrument(), spoilt, b"")
            try:
                refused += not right(server.resource)
            finally:
                server.close()
    print(f"{refused} of {9 * len(WORDS)} refused")
    assert refused > 10 or procedure == doors.CLEAR


def right(resource):
    """An honest host's status; False for an error of ours."""
    clock, wire = busy.Clock(), None
    try:
        wire = VisaSession(resource, deadline=time.monotonic() + TIMEOUT_S)
        dialect = Scpi(ScpiLink(wire), TIMEOUT_S)
        dialect.link.open(TIMEOUT_S)
        assert dialect.status().state is not None
        return True
    except DeviceError:
        return False
    finally:
        if wire is not None:
            wire.close()
        assert clock.own_s < 4 * TIMEOUT_S + 2 * BUSY_MACHINE_S


def test_sockets_of_others_stay_as_they_are():
    with pytest.raises(LinkError):
        VisaSession("TCPIP::127.0.0.1::hislip0,1::INSTR")
    for module in (hislip, rpc):
        with module.socket.socket() as made:
            assert type(made) is socket.socket
