"""A wire that is said to be readable and has nothing."""

import contextlib
import os
import select
import threading
import time

import pytest

from drivers.descriptor import Descriptor
from drivers.errors import LinkTimeout
from drivers.serial_port import SerialPort


class Stolen:
    """A wire whose bytes another program reads first, so many times."""

    def __init__(self, times, then=b"mine"):
        self.times, self.then, self.asked = times, then, 0

    def readable(self, timeout_s):
        self.asked += 1
        if self.asked > self.times and not self.then:
            time.sleep(timeout_s)
            return False
        return True

    def ready(self, timeout_s):
        return self.readable(timeout_s), self.asked > self.times

    def read(self, most):
        if self.asked <= self.times:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        taken, self.then = self.then[:most], self.then[most:]
        return taken

    def write(self, data):
        if self.asked <= self.times:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return len(data)


@pytest.mark.parametrize("times", [0, 1, 3])
def test_what_comes_after_it_is_read(times, deadline):
    assert Descriptor(Stolen(times), "serial:/dev/ttyACM0").buffer.exact(4, deadline()) == b"mine"


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_message_is_written_all_the_same(times, deadline):
    descriptor = Descriptor(Stolen(times), "serial:/dev/ttyACM0")
    descriptor.write(b"ping", deadline())
    assert descriptor.buffer.exact(4, deadline()) == b"mine"


def test_nothing_more_is_a_device_that_does_not_answer_and_no_owner_is_invented(deadline):
    with pytest.raises(LinkTimeout, match="waited for 4 bytes, nothing came"):
        Descriptor(Stolen(3, b""), "serial:/dev/ttyACM0").buffer.exact(4, deadline(0.1))


def test_it_is_not_taken_for_what_is_waiting():
    assert Descriptor(Stolen(1), "serial:/dev/ttyACM0").waiting() == b""


def test_a_second_reader_of_a_terminal_costs_answers_and_is_no_error(pty_wire, deadline):
    """Another program has the port open, as programs that look for modems do: some answers go there."""
    wire, stop, stolen = pty_wire(), threading.Event(), []
    port, other = SerialPort(wire.address), os.open(wire.address, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def steal():
        while not stop.is_set():
            if select.select([other], [], [], 0.05)[0]:
                with contextlib.suppress(BlockingIOError):
                    stolen.append(os.read(other, 1))

    stealing = threading.Thread(target=steal, daemon=True)
    stealing.start()
    had = 0
    try:
        for _ in range(200):
            port.write(b"!", deadline())
            with contextlib.suppress(LinkTimeout):
                had += len(port.read_exact(1, deadline(0.05)))
            if stolen and had:
                break
    finally:
        stop.set()
        stealing.join(20)
        os.close(other)
        port.close()
    assert had and stolen
