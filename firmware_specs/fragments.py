"""Cutting messages into frames and putting them together (PROTOCOL.md section 4). No clock, no socket."""

from __future__ import annotations

from firmware_specs.frame import MAX_PAYLOAD, Frame

MAX_COUNT = 0xFFFF


def frame_count(size: int) -> int:
    """Frames of a message of `size` bytes (4.1)."""
    return max(1, -(-size // MAX_PAYLOAD))


def cut(kind: int, opcode: int, flags: int, session: int, sequence: int, message: bytes) -> list[Frame]:
    """Frames of a message.

    Raises:
        ValueError: longer than 65,535 frames.
    """
    count = frame_count(len(message))
    if count > MAX_COUNT:
        raise ValueError(f"message of {len(message)} bytes: at most {MAX_COUNT * MAX_PAYLOAD}")
    if count == 1:
        return [Frame(kind, opcode, flags, session, sequence, 0, 1, message)]
    pieces = (message[at : at + MAX_PAYLOAD] for at in range(0, len(message), MAX_PAYLOAD))
    return [Frame(kind, opcode, flags, session, sequence, i, count, piece) for i, piece in enumerate(pieces)]


class Assembly:
    """One message being received: frames in order, one missing frame at a time.

    Attributes:
        first: Header of the message; frames that differ from it are refused.
        next: Number of the frame expected next.
    """

    def __init__(self, first: Frame) -> None:
        self.first = first
        self.next = 0
        self._pieces: list[bytes] = []

    @property
    def complete(self) -> bool:
        """All frames are in."""
        return self.next == self.first.parts

    @property
    def message(self) -> bytes:
        """The payload of the frames that are in."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def belongs(self, frame: Frame) -> bool:
        """Same message, and the length its place demands: full frames, but for the last."""
        first = self.first
        return (
            frame.sequence == first.sequence
            and frame.opcode == first.opcode
            and frame.parts == first.parts
            and frame.session == first.session
            and frame.kind == first.kind
            and (frame.part == frame.parts - 1 or len(frame.payload) == MAX_PAYLOAD)
        )

    def take(self, frame: Frame) -> bool:
        """Takes the frame expected next; False for any other one."""
        if frame.part != self.next or not self.belongs(frame):
            return False
        self._pieces.append(frame.payload)
        self.next += 1
        return True
