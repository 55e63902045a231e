"""The instrument under test: its verbs, and its messages as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from drivers.errors import DeviceError
from drivers.reopenable import Reopenable
from drivers.transport import Transport
from firmware_specs.codes import Capability
from hil.conformance.conversation import Failed, Skipped
from hil.conformance.scpi.dialogue import Dialogue
from hil.conformance.scpi.verbs import ScpiVerbs
from hil.conformance.subject import Subject

QUIET_S = 0.02


class ScpiSubject(Subject):
    """An instrument in a known state: queues empty, outputs off, no trip, limits as at power-on, byte order SWAPped.

    Args:
        transport: An open wire.
        patience_s: How long to wait for one answer.
    """

    def __init__(self, transport: Transport, patience_s: float = 2.0) -> None:
        super().__init__(ScpiVerbs(transport, patience_s))
        self.talk = Dialogue(transport, patience_s)

    def device_clear(self) -> None:
        """What a host does after a timeout (4.1): clears the link, on a plain socket with a line of its own.

        A link that cannot be cleared is opened anew, and then has the byte order of a new one.
        """
        self.talk.transport.drain(QUIET_S, time.monotonic() + self.talk.patience_s)
        if self.talk.stream:
            self.talk.send_raw(b"\n")
        self.talk.send("*CLS;:FORM:BORD SWAP")

    def closing_seen(self) -> Reopenable:
        """The wire, to be closed and opened anew; skips the check where that cannot be, or shows the device nothing."""
        address = self.talk.transport.address
        if address.startswith("visa:") and "TCPIP" not in address.upper():
            raise Skipped("a link of this kind does not show the device that it closes")
        return self._wire

    @contextmanager
    def second_link(self) -> Iterator[Dialogue]:
        """Another link to the instrument; skips the check where it takes one only."""
        with ExitStack() as stack:
            try:
                other = Dialogue(stack.enter_context(self._wire.beside()), self.talk.patience_s)
                other.send("*CLS")
                other.ask("*OPC?")
            except (DeviceError, Failed) as error:
                raise Skipped(f"no second link: {error}") from error
            yield other

    @property
    def _wire(self) -> Reopenable:
        wire = self.talk.transport
        if not isinstance(wire, Reopenable):
            raise Skipped("this wire cannot be closed and opened anew")
        return wire

    def needs_stream(self) -> None:
        """Skips the check on a link that marks the end of messages itself."""
        if not self.talk.stream:
            raise Skipped("the link marks the end of messages itself")

    @property
    def watchdog(self) -> bool:
        """Has it one?"""
        return Capability.WATCHDOG in self.identity.capabilities

    @property
    def place(self) -> str:
        """The whole first plane of the small block as the seven numbers of a region."""
        region = self.region()
        return f"0,0,0,0,{region.rows},0,{region.columns}"
