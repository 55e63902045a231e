"""The verbs of both protocols, as checks ask for them."""

from __future__ import annotations

from typing import Protocol

from firmware_specs.codes import ErrorCode, Opcode
from firmware_specs.messages import Refusal
from hil.conformance.conversation import Answer, Told


class Verbs(Protocol):
    """The verbs of PROTOCOL.md section 7 as payloads, over whichever protocol.

    Attributes:
        has_details: Does a refusal carry a number, too?
        told: Is told of every request before it goes out.
    """

    has_details: bool
    told: Told

    @property
    def max_request(self) -> int:
        """Longest request payload, bytes."""

    @property
    def max_reply(self) -> int:
        """Longest reply payload, bytes."""

    def ask(self, opcode: Opcode, payload: bytes = b"") -> bytes:
        """The payload of a reply; a refusal fails the check."""

    def request(self, opcode: int, payload: bytes = b"") -> Answer:
        """A reply, or a refusal."""

    def refused(self, opcode: int, payload: bytes, *codes: ErrorCode) -> Refusal:
        """Demands that a request is refused with one of these codes."""

    def drain(self) -> None:
        """Throws away what an earlier check left on the wire."""

    def sync(self) -> object:
        """Proves that the wire is clean: a new session."""
