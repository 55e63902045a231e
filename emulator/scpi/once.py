"""Numbered messages: what was done once is answered again, not done again (SCPI.md 4.3).

A message gets its number from its first SYSTem:SEQuence, while it is executed. From there on it is either fresh, and
its reply is kept, or the kept one again, and all that follows is passed over.
"""

from __future__ import annotations

from firmware_specs.scpi import ScpiError

LARGEST = 0xFFFFFFFF


class Once:
    """The last numbered message of one link, and its reply.

    Attributes:
        number: Of the kept message; 0 where there is none.
        passing: The rest of the message under way is not executed.
    """

    def __init__(self) -> None:
        self.number = 0
        self.passing = False
        self._kept_message, self._kept_reply = b"", b""
        self._message, self._fresh, self._again = b"", False, False

    def begin(self, message: bytes) -> None:
        """A message comes."""
        self._message, self.passing, self._fresh, self._again = message, False, False, False

    def named(self, number: int) -> None:
        """SYSTem:SEQuence stands in it.

        Raises:
            ScpiError: it has a number already, or another message had this one.
        """
        if self._fresh or self._again:
            raise ScpiError(-221, "CONFLICT: a message has one number")
        if number and number == self.number:
            self.passing = True
            if self._message != self._kept_message:
                raise ScpiError(-221, f"CONFLICT: another message had number {number}; nothing was done")
            self._again = True
            return
        kept = self._message if number else b""
        self.number, self._kept_message, self._kept_reply, self._fresh = number, kept, b"", True

    def end(self, reply: bytes) -> bytes:
        """What the message is answered with, given what its units answered."""
        self._message = b""
        if self._again:
            return self._kept_reply
        if self._fresh:
            self._kept_reply = reply
        return reply
