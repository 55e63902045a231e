"""The transport in docs/how-to/driver.md is a transport."""

import re
import socket
import threading
import time
from pathlib import Path

import pytest

from drivers.errors import LinkLost, LinkTimeout

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "driver.md"


def soon(seconds=2.0):
    return time.monotonic() + seconds


@pytest.fixture
def unix_socket():
    names = {}
    exec(compile(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1), "driver.md", "exec"), names)
    return names["UnixSocket"]


@pytest.fixture
def echoing(tmp_path):
    """Path of a socket whose other end sends back what it gets, up to `bye`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def serve():
        link, _ = listener.accept()
        with link:
            while (data := link.recv(1 << 16)) != b"bye":
                link.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield str(tmp_path / "s")
    listener.close()
    thread.join(30)


def test_the_transport_of_the_page_keeps_to_the_seam(unix_socket, echoing):
    wire = unix_socket(echoing, deadline=soon())
    wire.write(b"one\0two", soon())
    assert wire.read_until(b"\0", 10, soon()) == b"one\0"
    assert wire.read_exact(3, soon()) == b"two"
    with pytest.raises(LinkTimeout):
        wire.read_exact(1, soon(0.05))
    wire.write(b"bye", soon())
    with pytest.raises(LinkLost):
        wire.read_exact(1, soon())
    wire.close()
    wire.close()
    with pytest.raises(LinkLost):
        wire.write(b"x", soon())


def test_a_missing_socket_is_a_lost_link_with_the_way_out(unix_socket, tmp_path):
    with pytest.raises(LinkLost, match="hil devices"):
        unix_socket(str(tmp_path / "none"), deadline=soon())
