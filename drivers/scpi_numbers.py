"""Numbers of messages: a device that keeps the answer of a numbered one gives it again and does nothing twice.

See SCPI.md 4.3. A message that is asked anew gets a new number; one that is repeated because no answer came keeps its
own. Firmware written before there were numbers gets messages without.
"""

from __future__ import annotations

LARGEST = 0xFFFFFFFF


class Numbers:
    """The numbers of one link.

    Attributes:
        kept: The device keeps answers.
        last: Number of the newest message.
    """

    def __init__(self) -> None:
        self.kept = False
        self.last = 0

    def fresh(self, message: bytes) -> bytes:
        """A message that is asked anew."""
        if not self.kept:
            return message
        self.last = self.last % LARGEST + 1
        return b":SYST:SEQ %d;%b" % (self.last, message)
