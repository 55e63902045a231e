"""Reads of a terminal that end with nothing."""

import os
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

import termios
import tty

from firmware_specs import platform


@pytest.fixture
def host(pseudo_terminal):
    """The host's end, set as pyserial sets it, and the device's."""
    end = pseudo_terminal()
    number = os.open(end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(number)
    settings = termios.tcgetattr(number)
    settings[6][termios.VMIN] = settings[6][termios.VTIME] = 0
    termios.tcsetattr(number, termios.TCSANOW, settings)
    with os.fdopen(number, "rb", buffering=0) as file:
        yield platform.wire(file), end
    end.close()


def test_nothing_there_is_no_hang_up(host):
    wire, end = host
    with pytest.raises(BlockingIOError):
        wire.read(10)
    end.write(b"here")
    assert wire.readable(20) and wire.read(10) == b"here"
    with pytest.raises(BlockingIOError):
        wire.read(10)


def test_a_hang_up_is_one(host):
    wire, end = host
    end.close()
    assert wire.readable(20)
    try:
        assert wire.read(10) == b""
    except OSError as error:
        assert not isinstance(error, BlockingIOError)
