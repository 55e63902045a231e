"""The device's end of a serial cable."""

import contextlib
import os
import select
import threading
import tty


class PseudoTerminal:
    """Read and written by one thread, closed by any other.

    The number of a descriptor that is closed is given out again at once: who still reads or writes it then takes or
    spoils what is somebody else's. So the last one to leave closes.

    Attributes:
        path: The host's end.
    """

    def __init__(self):
        self._controller, port = os.openpty()
        tty.setraw(port)
        os.set_blocking(self._controller, False)
        self.path = os.ttyname(port)
        self._told, self._tell = os.pipe()
        self._open, self._users, self._change = [self._controller, port, self._told], 0, threading.Lock()

    def read(self, most=65536):
        """Waits for what the host sent; b"" once it is closed."""
        with contextlib.suppress(BrokenPipeError), self._used():
            if self._told in select.select([self._told, self._controller], [], [])[0]:
                return b""
            return os.read(self._controller, most)
        return b""

    def write(self, data):
        """Sends all of it; BrokenPipeError once it is closed."""
        left = memoryview(data)
        with self._used():
            while left:
                try:
                    left = left[os.write(self._controller, left) :]
                except BlockingIOError:
                    select.select([self._told], [self._controller], [])
                if self._tell is None:
                    raise BrokenPipeError

    def close(self):
        """The cable is pulled: a reader and a writer come back."""
        with self._change:
            if self._tell is not None:
                os.close(self._tell)
                self._tell = None
                self._close_unused()

    @contextlib.contextmanager
    def _used(self):
        with self._change:
            if self._tell is None:
                raise BrokenPipeError
            self._users += 1
        try:
            yield
        finally:
            with self._change:
                self._users -= 1
                self._close_unused()

    def _close_unused(self):
        while self._tell is None and not self._users and self._open:
            os.close(self._open.pop())
