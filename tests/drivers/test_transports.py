import os
import socket
import threading
import time

import pytest

from drivers.errors import Busy, CorruptFrame, LinkLost, LinkTimeout, OutOfRange
from drivers.loopback import Loopback
from drivers.serial_port import SerialPort
from drivers.transport import within
from drivers.visa import VisaSession

PAYLOADS = {"zeros": b"\x00", "newlines": b"\x0a", "ones": b"\xff", "mixed": bytes(range(256))}


def visa_socket(wire):
    return f"TCPIP::{wire.address[0]}::{wire.address[1]}::SOCKET"


@pytest.fixture(params=["loopback", "pty", "socket url", "loop url", "visa socket"])
def echo(request, pty_wire, tcp_wire):
    """One transport of each kind, to a device that sends back what it gets."""
    if request.param == "loopback":
        transport = Loopback(lambda data: data)
    elif request.param == "pty":
        transport = SerialPort(pty_wire().address)
    elif request.param == "socket url":
        transport = SerialPort("socket://{}:{}".format(*tcp_wire().address))
    elif request.param == "loop url":
        transport = SerialPort("loop://")
    else:
        transport = VisaSession(visa_socket(tcp_wire()))
    yield transport
    transport.close()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_block_of_any_bytes_comes_back_length_exact(echo, payload, deadline):
    size = 3000 if echo.address == "serial:loop://" else 1 << 16
    block = (PAYLOADS[payload] * size)[:size]
    echo.write(block, deadline())
    assert echo.read_exact(len(block), deadline()) == block


def test_line_is_read_up_to_its_newline_and_no_further(echo, deadline):
    echo.write(b"first\nsecond\n", deadline())
    assert echo.read_until(b"\n", 100, deadline()) == b"first\n"
    assert echo.read_until(b"\n", 100, deadline()) == b"second\n"


def test_line_then_block_then_line_do_not_eat_each_other(echo, deadline):
    echo.write(b"#15\nab\n\n" + b"tail\n", deadline())
    assert echo.read_exact(3, deadline()) == b"#15"
    assert echo.read_exact(5, deadline()) == b"\nab\n\n"
    assert echo.read_until(b"\n", 100, deadline()) == b"tail\n"


def test_silence_is_a_timeout_at_the_deadline(echo, deadline, takes_less_than):
    def read():
        with pytest.raises(LinkTimeout) as caught:
            echo.read_exact(1, deadline(0.1))
        assert echo.address in str(caught.value)

    takes_less_than(0.5, read)


def test_what_has_come_already_is_asked_for_without_a_wait(echo, takes_less_than):
    """Every SCPI message asks: a wait of 1 ms, the shortest of `poll`, is ten times what its exchange takes."""
    takes_less_than(0.02, lambda: [echo.waiting() for _ in range(20)], times=50)


def test_half_an_answer_is_a_timeout(echo, deadline):
    echo.write(b"abc", deadline())
    with pytest.raises(LinkTimeout):
        echo.read_exact(4, deadline(0.1))


def test_line_without_end_is_bounded(echo, deadline):
    echo.write(b"x" * 300, deadline())
    with pytest.raises(CorruptFrame, match="without a"):
        echo.read_until(b"\n", 200, deadline(0.3))


def test_drain_throws_away_what_came_late(echo, deadline):
    echo.write(b"late answer", deadline())
    echo.read_exact(1, deadline())
    echo.drain(0.02, deadline())
    echo.write(b"new", deadline())
    assert echo.read_exact(3, deadline()) == b"new"


def test_use_after_close_is_a_lost_link(echo, deadline):
    echo.close()
    echo.close()
    with pytest.raises(LinkLost):
        echo.write(b"x", deadline())
        echo.read_exact(1, deadline())


@pytest.mark.parametrize("kind", ["pty", "socket url", "visa socket"])
def test_cable_pulled_between_two_transactions_is_a_lost_link_at_once(kind, pty_wire, tcp_wire, deadline):
    wire = pty_wire() if kind == "pty" else tcp_wire()
    if kind == "pty":
        transport = SerialPort(wire.address)
    elif kind == "socket url":
        transport = SerialPort("socket://{}:{}".format(*wire.address))
    else:
        transport = VisaSession(visa_socket(wire))
    transport.write(b"ok", deadline())
    assert transport.read_exact(2, deadline()) == b"ok"
    wire.cut()
    start = time.monotonic()
    with pytest.raises(LinkLost, match="start again"):
        for _ in range(100):
            transport.write(b"ping", deadline(60))
            transport.read_exact(4, deadline(60))
    assert time.monotonic() - start < 20.0, "seen at once, not at a deadline"
    transport.close()


def test_endpoint_that_hangs_up_is_a_lost_link(deadline):
    def feed(data):
        raise ConnectionResetError("unplugged")

    with pytest.raises(LinkLost, match="unplugged"):
        Loopback(feed).write(b"x", deadline())


def test_write_to_a_peer_that_never_reads_ends_at_the_deadline(pty_wire, deadline):
    stop = threading.Event()

    def stuck(chunk):
        stop.wait(30)
        return b""

    transport = SerialPort(pty_wire(stuck).address)
    start = time.monotonic()
    with pytest.raises(LinkTimeout):
        transport.write(b"x" * 1_000_000, deadline(0.2))
    assert time.monotonic() - start < 20.0, "not when the peer goes on"
    stop.set()
    transport.close()


def test_visa_write_to_a_peer_that_never_reads_ends_at_the_deadline(tcp_wire, deadline):
    stop = threading.Event()

    def stuck(chunk):
        stop.wait(30)
        return b""

    transport = VisaSession(visa_socket(tcp_wire(stuck)))
    with pytest.raises(LinkTimeout):
        transport.write(b"x" * 50_000_000, deadline(0.3))
    stop.set()
    transport.close()


def test_two_full_buffers_do_not_wait_for_each_other(pty_wire, deadline):
    transport = SerialPort(pty_wire().address)
    block = bytes(range(256)) * 2048
    transport.write(block, deadline(50))
    assert transport.read_exact(len(block), deadline(50)) == block
    transport.close()


def test_visa_block_past_4096_bytes_is_not_held_back_by_nagle(tcp_wire):
    transport = VisaSession(visa_socket(tcp_wire()))
    with socket.socket(fileno=os.dup(transport._wire._wire._number)) as twin:
        assert twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.close()


def test_refused_visa_socket_is_seen_at_open():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(LinkLost, match="found nothing there"):
        VisaSession(f"TCPIP::127.0.0.1::{port}::SOCKET")


def test_missing_port_names_the_way_to_find_one():
    with pytest.raises(LinkLost, match="hil devices"):
        SerialPort("/dev/no-such-port")


def test_port_opened_twice_is_busy(pty_wire):
    wire = pty_wire()
    first = SerialPort(wire.address)
    with pytest.raises(Busy):
        SerialPort(wire.address)
    first.close()


@pytest.mark.parametrize(("url", "baud"), [("loop://", -1), ("nosuch://x", 9600)])
def test_bad_setting_is_refused_by_name(url, baud):
    with pytest.raises((OutOfRange, LinkLost)) as caught:
        SerialPort(url, baud)
    assert url in str(caught.value)


def test_bad_visa_resource_is_refused_by_name():
    with pytest.raises((OutOfRange, LinkLost), match="NOSUCH"):
        VisaSession("NOSUCH::THING")


def test_open_that_hangs_is_given_up_and_closed_when_it_ends():
    release, closed = threading.Event(), threading.Event()

    def slow():
        release.wait(30)
        return "port"

    with pytest.raises(LinkTimeout, match="did not end"):
        within(time.monotonic() + 0.05, slow, lambda port: closed.set(), "opening the port", "serial:x")
    release.set()
    assert closed.wait(30)


def test_nothing_looks_for_usb_devices_before_a_visa_session_is_asked_for(python):
    loaded = python.run(
        ["-c", "import sys; print([n for n in ('usb', 'pyvisa_py') if n in sys.modules])"], capture_output=True
    )
    assert loaded.stdout == "[]\n"
