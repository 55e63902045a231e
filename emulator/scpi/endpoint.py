"""The device's end of a SCPI link: bytes in, bytes out."""

from __future__ import annotations

import contextlib

from emulator.machine import Machine
from emulator.scpi import arrays, common, outputs
from emulator.scpi.common import Handler
from emulator.scpi.link import ScpiLink
from firmware_specs.codes import ErrorCode
from firmware_specs.scpi import BY_CODE, Command, Form, Overrun, Parameters, ScpiError, Splitter, Unit, find, units

HANDLERS: dict[str, Handler] = {**common.HANDLERS, **outputs.HANDLERS, **arrays.HANDLERS}

MOST_TEXT = 400
HEADERS = 64
"""Bytes of the headers of a reply's blocks, at most."""


class ScpiEndpoint:
    """One SCPI link of a device.

    Args:
        machine: Executes the verbs.
        door: Name of the link, for ownership and the journal.
    """

    def __init__(self, machine: Machine, door: str) -> None:
        self.machine = machine
        self.door = door
        self.link = ScpiLink(machine, door)
        self._splitter = Splitter(machine.device.max_request)

    def feed(self, data: bytes) -> bytes:
        """Replies to the messages that `data` completes (stream links: LF ends a message)."""
        return b"".join(self.message(found) for found in self._splitter.feed(data))

    def feed_message(self, data: bytes) -> bytes:
        """Replies to a message whose end the link itself marks (HiSLIP); LFs in it end messages, too."""
        return self.feed(data) + b"".join(self.message(found) for found in self._splitter.end())

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete."""
        return self._splitter.pending

    @property
    def owns(self) -> bool:
        """Has this link the outputs?"""
        return self.machine.device.outputs.owner == self.door

    @property
    def status_byte(self) -> int:
        """As *STB? answers it."""
        return self.link.status_byte

    def nak(self) -> bytes:
        """SCPI has no NAK: a message that is not taken is not answered."""
        return b""

    def clear(self) -> None:
        """Device clear: forgets what is half received."""
        self._splitter.clear()

    def closed(self) -> None:
        """The link went away."""
        self._splitter.clear()
        self.machine.device.link_closed(self.door)

    def message(self, message: bytes | Overrun) -> bytes:
        """Executes one message; its replies joined by `;` and ended by LF, b"" for none."""
        device = self.machine.device
        device.poll()
        device.outputs.feed(self.door)
        try:
            found = units(message) if isinstance(message, bytes) else []
        except ValueError as error:
            self.link.fail(ScpiError(-102, str(error)))
            return b""
        if isinstance(message, Overrun):
            self.link.fail(ScpiError(-363, str(message)))
        once = self.link.once
        once.begin(message if isinstance(message, bytes) else b"")
        replies: list[bytes] = []
        for unit in found:
            reply = None if once.passing and not _of_errors(unit) else self._unit(unit)
            if reply is not None and not self._too_large(replies, reply):
                replies.append(reply)
        return once.end(b";".join(replies) + b"\n" if replies else b"")

    def _too_large(self, before: list[bytes], reply: bytes) -> bool:
        """Refuses a block that takes those of its message beyond the largest reply."""
        blocks, most = sum(len(part) for part in (*before, reply) if part[:1] == b"#"), self.machine.device.max_reply
        if reply[:1] != b"#" or blocks <= most + HEADERS:
            return False
        self.link.fail(ScpiError(-223, f"TOO_LARGE: blocks of {blocks} bytes in one reply, {most} at most"))
        return True

    def _unit(self, unit: Unit) -> bytes | None:
        self.machine.device.journal.note("request", unit.header + "?" * unit.query, self.door)
        try:
            command = _command(unit)
            self.link.parameters = Parameters(unit.parameters)
            if not command.parameters:
                self.link.parameters.end()
            reply = HANDLERS[command.header](self.link, self.link.parameters, unit.query)
            self.link.parameters.end()
        except ScpiError as error:
            self.link.fail(error)
            return None
        except Exception as error:  # as the machine's last line: a bug is an answer, and the other links live on
            self.machine.device.fault(ErrorCode.INTERNAL, f"{unit.header}: {error!r}"[:MOST_TEXT])
            self.link.fail(ScpiError(BY_CODE[ErrorCode.INTERNAL], f"{ErrorCode.INTERNAL.name}: {error!r}"[:MOST_TEXT]))
            return None
        if reply is None or not unit.query:
            return None
        return reply.encode() if isinstance(reply, str) else reply


def _of_errors(unit: Unit) -> bool:
    """Does it ask for the errors? They are told of a message that is passed over, too."""
    with contextlib.suppress(LookupError, ValueError):
        return unit.query and find(unit.header).header.startswith("SYSTem:ERRor")
    return False


def _command(unit: Unit) -> Command:
    try:
        command = find(unit.header)
    except LookupError as error:
        raise ScpiError(-113, unit.header[:60]) from error
    except ValueError as error:
        raise ScpiError(-114, unit.header[:60]) from error
    if command.form is (Form.COMMAND if unit.query else Form.QUERY):
        raise ScpiError(-113, f"{command.header} has no {'query' if unit.query else 'command'} form")
    return command
