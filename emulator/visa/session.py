"""One VISA session to a virtual instrument: messages, terminations, time-outs, status byte, events.

Nothing answers later than it is asked: an instrument carries out a message when it arrives, on the laboratory's own
time. So a read that finds nothing has nothing to wait for; it ends as a time-out at once, and the instrument notes
what it would note (-420, query unterminated), unless an instrument that waits for a trigger may still speak.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from pyvisa import attributes, constants, rname
from pyvisa.constants import EventType, ResourceAttribute, StatusCode

from emulator.circuits.laboratory import Laboratory
from emulator.instruments.shelf import Box

OUTPUT_LIMIT = 1 << 28
SOCKETS = ("SOCKET",)
_FIXED = {
    ResourceAttribute.resource_manufacturer_name: "crossbar-hil",
    ResourceAttribute.resource_spec_version: 0x00500800,
    ResourceAttribute.resource_impl_version: 0x00100000,
    ResourceAttribute.resource_lock_state: constants.AccessModes.no_lock,
    ResourceAttribute.user_data: 0,
}


class Session:
    """What one client has open.

    Args:
        laboratory: Where the instrument stands.
        name: The instrument's name there.
        parsed: The resource's name, taken apart.
        resource: The resource's name.
    """

    def __init__(self, laboratory: Laboratory, name: str, parsed: Any, resource: str) -> None:
        self.laboratory, self.name, self.parsed = laboratory, name, parsed
        self.box: Box = laboratory.boxes[name]
        self.output = bytearray()
        self.events: deque[EventType] = deque()
        self.enabled: set[EventType] = set()
        self.requested = False
        self._attributes: dict[ResourceAttribute, Any] = dict(_FIXED) | {
            ResourceAttribute.timeout_value: 2000,
            ResourceAttribute.termchar: ord("\n"),
            ResourceAttribute.termchar_enabled: constants.VI_FALSE,
            ResourceAttribute.send_end_enabled: constants.VI_TRUE,
            ResourceAttribute.resource_name: resource,
            ResourceAttribute.resource_class: parsed.resource_class,
            ResourceAttribute.interface_type: parsed.interface_type_const,
            ResourceAttribute.interface_number: int(getattr(parsed, "board", 0) or 0),
            ResourceAttribute.interface_instrument_name: name,
            ResourceAttribute.max_queue_length: 50,
        }

    @property
    def is_stream(self) -> bool:
        """A socket has no END and no status byte of its own."""
        return self.parsed.resource_class in SOCKETS

    def get(self, attribute: ResourceAttribute) -> tuple[Any, StatusCode]:
        """An attribute."""
        if attribute in self._attributes:
            return self._attributes[attribute], StatusCode.success
        default = getattr(attributes.AttributesByID.get(attribute), "default", None)
        if attribute in attributes.AttributesByID and default is not None and default != NotImplemented:
            return default, StatusCode.success
        return None, StatusCode.error_nonsupported_attribute

    def set(self, attribute: ResourceAttribute, state: Any) -> StatusCode:
        """Changes an attribute."""
        if attribute in _FIXED:
            return StatusCode.error_attribute_read_only
        if attribute not in attributes.AttributesByID:
            return StatusCode.error_nonsupported_attribute
        self._attributes[attribute] = state
        return StatusCode.success

    def write(self, data: bytes) -> tuple[int, StatusCode]:
        """A message; where the interface marks ends, this is one."""
        end = not self.is_stream and self._attributes[ResourceAttribute.send_end_enabled]
        feed = getattr(self.box, "feed_message", self.box.feed) if end else self.box.feed
        with self.laboratory.one_at_a_time:
            if self.output and not self.is_stream:
                self.output.clear()
                self._note(-410, "Query INTERRUPTED")
            self._take(feed(data))
        return len(data), StatusCode.success

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """Up to `count` bytes of what the instrument has said."""
        if not self.output and not self._wait():
            with self.laboratory.one_at_a_time:
                if not self.is_stream:
                    self._note(-420, "Query UNTERMINATED")
            return b"", StatusCode.error_timeout
        ends = self._attributes[ResourceAttribute.termchar_enabled] or self.is_stream
        stop = self.output.find(self._attributes[ResourceAttribute.termchar], 0, count) if ends else -1
        size = stop + 1 if stop >= 0 else min(count, len(self.output))
        data = bytes(self.output[:size])
        del self.output[:size]
        if not self.output and not self.is_stream:
            return data, StatusCode.success
        if stop >= 0:
            return data, StatusCode.success_termination_character_read
        return data, StatusCode.success_max_count_read if size == count else StatusCode.success

    def status_byte(self) -> int:
        """A serial poll: the status byte with RQS, which reading takes back."""
        read = getattr(self.box, "status_byte", None)
        byte = int(read(bool(self.output))) if read is not None else 0
        byte = byte & ~64 | (64 if self.requested else 0)
        self.requested = False
        return byte

    def clear(self) -> StatusCode:
        """Device clear: what is half said on either side is forgotten."""
        with self.laboratory.one_at_a_time:
            self.output.clear()
            forget = getattr(self.box, "clear", None)
            if forget is not None:
                forget()
        return StatusCode.success

    def trigger(self) -> StatusCode:
        """A group execute trigger, or its like."""
        with self.laboratory.one_at_a_time:
            self._take(self.box.feed(b"*TRG\n"))
        return StatusCode.success

    def serviced(self) -> None:
        """The instrument asks for service."""
        self.requested = True
        if EventType.service_request in self.enabled and len(self.events) < 50:
            self.events.append(EventType.service_request)

    def _take(self, said: bytes) -> None:
        self.output += said
        del self.output[OUTPUT_LIMIT:]

    def _note(self, code: int, text: str) -> None:
        fail = getattr(self.box, "fail", None)
        if fail is not None:
            fail(code, text)

    def _wait(self) -> bool:
        """Waits while the instrument still waits for a trigger, no longer than the time-out."""
        limit = self._attributes[ResourceAttribute.timeout_value]
        until = time.monotonic() + (1e9 if limit == constants.VI_TMO_INFINITE else limit / 1000)
        while self.box.deadline is not None and not self.output and time.monotonic() < until:
            time.sleep(max(0.0, min(self.box.deadline, until) - time.monotonic()))
            with self.laboratory.one_at_a_time:
                self._take(self.box.feed(b""))
        return bool(self.output)


def parse(resource: str) -> Any:
    """A resource's name, taken apart; raises `rname.InvalidResourceName`."""
    return rname.parse_resource_name(resource)


def canonical(resource: str) -> str:
    """A resource's name in its full form, so that spellings of one resource are one."""
    return str(parse(resource.upper())).upper()
