"""The link of a board: how large its messages are, and how many frames it takes in unasked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firmware_specs.datasheet.section import Section

LARGEST = 1 << 26
"""Bytes of a message where a datasheet says nothing."""
SMALLEST = 1024
"""A board's own description has to fit."""
MessageBytes = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]


class Link(Section):
    """What the messages of a device may be.

    Attributes:
        max_request: Longest request, bytes; one frame carries 4,056.
        max_reply: Longest reply, bytes.
        window: Frames it takes in without being asked to go on.
    """

    max_request: MessageBytes = LARGEST
    max_reply: MessageBytes = LARGEST
    window: Annotated[int, Field(ge=2, le=65535)] = 32

    @property
    def small(self) -> bool:
        """True for a board whose messages are bounded by its memory; its whole state fits no message."""
        return min(self.max_request, self.max_reply) < LARGEST
