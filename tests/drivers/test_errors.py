import errno
import inspect
import termios

import pytest
import pyvisa.errors
import pyvisa.rname
import pyvisa_py.protocols.rpc
import pyvisa_py.protocols.vxi11
import pyvisa_py.sessions
import serial
from pyvisa.constants import StatusCode

from drivers import errors
from drivers.errors import Busy, DeviceError, DeviceFault, LinkError, LinkLost, LinkTimeout, OutOfRange
from drivers.library_errors import translate


def test_tree_drawn_in_the_docstring_is_the_tree_in_the_code():
    drawn = [line.strip("│├└─ ").split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    defined = [name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, DeviceError)]
    assert sorted(drawn) == sorted(set(defined) - {"DeviceError"})


def test_message_says_what_of_whom_what_came_back_and_what_next():
    error = LinkTimeout("identify got no answer", device="serial:/dev/ttyACM0", last=b"\x00\xff", todo="Check power")
    assert str(error) == "serial:/dev/ttyACM0: identify got no answer (last bytes: 00 ff). Check power."


def test_message_shows_no_more_than_the_last_bytes():
    assert str(LinkError("x", last=bytes(range(64)))).count(" 3f") == 1
    assert " 1f" not in str(LinkError("x", last=bytes(range(64))))


def test_device_fault_carries_code_and_text():
    fault = DeviceFault(0x10, "outputs are off", asked="SETTLE")
    assert (fault.code, fault.text) == (0x10, "outputs are off")
    assert "SETTLE was refused with error 16 (outputs are off)" in str(fault)


def library_classes(*modules):
    return [
        item
        for module in modules
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, Exception) and not issubclass(item, Warning) and item.__module__ == module.__name__
    ]


def instance(kind):
    known = {
        pyvisa.errors.VisaIOError: lambda: kind(StatusCode.error_io),
        pyvisa.errors.VisaTypeError: lambda: kind("x"),
        pyvisa.errors.UnknownHandler: lambda: kind(1, 2, 3),
        pyvisa.errors.InvalidBinaryFormat: lambda: kind("x"),
        pyvisa_py.sessions.UnknownAttribute: lambda: kind("x"),
        pyvisa.errors.OSNotSupported: lambda: kind("x"),
        pyvisa.rname.InvalidResourceName: lambda: kind("x"),
        pyvisa_py.protocols.vxi11.Vxi11Error: lambda: kind("x"),
    }
    return known.get(kind, kind)()


ALL = library_classes(
    serial.serialutil,
    pyvisa.errors,
    pyvisa.rname,
    pyvisa_py.sessions,
    pyvisa_py.protocols.rpc,
    pyvisa_py.protocols.vxi11,
)


def test_enumeration_finds_the_libraries_exceptions():
    assert len(ALL) >= 15
    assert serial.PortNotOpenError in ALL and pyvisa.errors.InvalidSession in ALL


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_exception_class_of_pyserial_and_pyvisa_is_mapped(kind):
    mapped = translate(instance(kind), "reading", "serial:x")
    assert type(mapped) in {LinkTimeout, LinkLost, Busy, OutOfRange}
    assert "serial:x" in str(mapped) and "reading" in str(mapped) and kind.__name__ in str(mapped)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (StatusCode.error_timeout, LinkTimeout),
        (StatusCode.error_resource_busy, Busy),
        (StatusCode.error_resource_locked, Busy),
        (StatusCode.error_resource_not_found, LinkLost),
        (StatusCode.error_connection_lost, LinkLost),
        (StatusCode.error_io, LinkLost),
    ],
)
def test_visa_status_codes_are_mapped(status, expected):
    assert type(translate(pyvisa.errors.VisaIOError(status), "reading", "visa:x")) is expected


def test_every_visa_error_status_is_mapped_to_something():
    for status in StatusCode:
        if status.value < 0:
            assert isinstance(translate(pyvisa.errors.VisaIOError(status), "reading", "visa:x"), DeviceError)


@pytest.mark.parametrize(
    "error",
    [
        serial.SerialException("device disconnected"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ENXIO, "No such device or address"),
        OSError(errno.ENODEV, "No such device"),
        termios.error(errno.EIO, "Input/output error"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ConnectionResetError("reset"),
        EOFError("end"),
        Exception("could not connect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_pulled_cable_is_one_error_whatever_the_library_calls_it(error):
    mapped = translate(error, "reading", "serial:x")
    assert type(mapped) is LinkLost
    assert "start again" in str(mapped)
    assert "watchdog" not in str(mapped)  # what a device does about it, its session knows, not the wire
    assert "--" not in str(mapped), "options are the commands' own, and not every command has the same"


@pytest.mark.parametrize(
    ("error", "expected", "hint"),
    [
        (PermissionError(errno.EACCES, "denied"), LinkLost, "dialout"),
        (FileNotFoundError(errno.ENOENT, "none"), LinkLost, "hil devices"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), LinkLost, "hil devices"),
        (OSError(errno.EBUSY, "busy"), Busy, "another program"),
        (serial.SerialException(errno.EAGAIN, "Could not exclusively lock port"), Busy, "another program"),
        (TimeoutError("timed out"), LinkTimeout, "deadline"),
        (serial.SerialTimeoutException("Write timeout"), LinkTimeout, "deadline"),
        (ValueError("Not a valid baudrate: -1"), OutOfRange, "address"),
    ],
)
def test_the_kind_of_failure_and_the_way_out_are_told_apart(error, expected, hint):
    mapped = translate(error, "opening the port", "serial:x")
    assert type(mapped) is expected
    assert hint in str(mapped)


def test_our_own_errors_pass_unchanged():
    own = LinkTimeout("x")
    assert translate(own, "reading", "serial:x") is own
