"""A wire that can be closed and opened again in its place: what becomes of a device when its link goes away?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.errors import LinkError
from drivers.recording import Recorded
from drivers.transport import Transport

PAUSE_S = 0.05


class Reopenable(Recorded):
    """A recorded wire to a device that more links can be opened to.

    Args:
        open_link: Opens a link.
    """

    def __init__(self, open_link: Callable[[], Transport]) -> None:
        super().__init__(open_link())
        self._open_link = open_link

    def reopen(self, deadline: float) -> None:
        """Closes the link and opens another in its place, as often as it takes until the deadline.

        Raises:
            LinkError: it cannot be opened any more.
        """
        self._wire.close()
        while True:
            try:
                self._wire = self._open_link()
                return
            except LinkError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE_S)

    @contextmanager
    def beside(self) -> Iterator[Transport]:
        """A second link to the same device, for as long as the context lasts.

        Raises:
            DeviceError: the device takes one link only.
        """
        other = self._open_link()
        try:
            yield other
        finally:
            other.close()
