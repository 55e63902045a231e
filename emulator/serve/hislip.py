"""HiSLIP 1.0, synchronized mode (IVI-6.1): the two channels of a session in front of a SCPI endpoint."""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from emulator.faulty_messages import FaultyMessages
from emulator.serve.streams import SocketLink

if TYPE_CHECKING:
    from emulator.serve.loop import Server

HEADER = Struct(">2sBBIQ")
MAX_MESSAGE = 1 << 26
VERSION = 0x0100
VENDOR = int.from_bytes(b"HI", "big")
MESSAGE_AVAILABLE = 16

INITIALIZE, INITIALIZE_RESPONSE, FATAL_ERROR, ERROR = 0, 1, 2, 3
LOCK, LOCK_RESPONSE, DATA, DATA_END = 4, 5, 6, 7
CLEAR_COMPLETE, CLEAR_ACKNOWLEDGE, REMOTE_LOCAL, REMOTE_LOCAL_RESPONSE, TRIGGER = 8, 9, 10, 11, 12
MAX_SIZE, MAX_SIZE_RESPONSE, ASYNC_INITIALIZE, ASYNC_INITIALIZE_RESPONSE = 15, 16, 17, 18
ASYNC_CLEAR, STATUS, STATUS_RESPONSE, ASYNC_CLEAR_ACKNOWLEDGE = 19, 21, 22, 23
LOCK_INFO, LOCK_INFO_RESPONSE = 24, 25


class ScpiDoor(Protocol):
    """What HiSLIP needs of a SCPI endpoint."""

    def feed(self, data: bytes) -> bytes:
        """Part of a message."""

    def feed_message(self, data: bytes) -> bytes:
        """The end of a message; returns the reply."""

    def clear(self) -> None:
        """Device clear."""

    def closed(self) -> None:
        """The link went away."""

    @property
    def status_byte(self) -> int:
        """As *STB? answers it."""


class Message(NamedTuple):
    """One HiSLIP message."""

    kind: int
    control: int
    parameter: int
    payload: bytes = b""

    def pack(self) -> bytes:
        """Its bytes."""
        return HEADER.pack(b"HS", self.kind, self.control, self.parameter, len(self.payload)) + self.payload


class Messages:
    """Takes bytes in any portions, gives messages; raises `ConnectionError` on anything else."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete."""
        return len(self._data)

    def feed(self, data: bytes) -> list[Message]:
        """Messages that `data` completes."""
        self._data += data
        found = []
        while len(self._data) >= HEADER.size:
            prologue, kind, control, parameter, length = HEADER.unpack_from(self._data)
            if prologue != b"HS" or length > MAX_MESSAGE:
                raise ConnectionError("poorly formed HiSLIP header")
            end = HEADER.size + length
            if len(self._data) < end:
                break
            found.append(Message(kind, control, parameter, bytes(memoryview(self._data)[HEADER.size : end])))
            del self._data[:end]
        return found


class Session:
    """Both channels of one client.

    Attributes:
        max_message: Largest message the client takes.
        clears: How often its client cleared the device.
        channels: Its connections, the synchronous one first.
    """

    def __init__(self, number: int, door: ScpiDoor) -> None:
        self.number = number
        self.door = door
        self.max_message = 1 << 20
        self.clears = 0
        self.channels: list[HislipLink] = []

    def reply(self, data: bytes, message_id: int) -> bytes:
        """A response as Data messages, the last one DataEnd."""
        step = max(1, self.max_message - HEADER.size)
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        kinds = [DATA] * (len(pieces) - 1) + [DATA_END]
        return b"".join(Message(k, 0, message_id, piece).pack() for k, piece in zip(kinds, pieces, strict=True))


class HislipHub:
    """All sessions of one HiSLIP port, and the exclusive lock between them.

    Args:
        make_door: Makes a SCPI endpoint for a new session, given its number.
    """

    def __init__(self, make_door: Callable[[int], ScpiDoor]) -> None:
        self._make_door = make_door
        self._sessions: dict[int, Session] = {}
        self._next = 1
        self._locked_by: Session | None = None

    def connect(self, server: Server) -> Callable[[socket.socket], HislipLink]:
        """What the listener calls for every connection."""
        return lambda connection: HislipLink(server, Channel(self), connection)

    def open(self) -> Session:
        """A new session."""
        session = Session(self._next, self._make_door(self._next))
        self._sessions[self._next] = session
        self._next = self._next % 0xFFFF + 1
        return session

    def find(self, number: int) -> Session:
        """The session an asynchronous channel belongs to."""
        if number not in self._sessions:
            raise ConnectionError(f"HiSLIP session {number} does not exist")
        return self._sessions[number]

    def end(self, session: Session) -> None:
        """One of its channels closed: the session is over."""
        if self._sessions.pop(session.number, None) is not None:
            if self._locked_by is session:
                self._locked_by = None
            for channel in session.channels:
                channel.close()
            session.door.closed()

    def lock(self, session: Session, request: bool) -> int:
        """AsyncLock: 1 done, 0 somebody else has it, 3 there was none to release."""
        if request:
            if self._locked_by not in (None, session):
                return 0
            self._locked_by = session
            return 1
        if self._locked_by is not session:
            return 3
        self._locked_by = None
        return 1

    @property
    def locked(self) -> bool:
        """Has anybody the exclusive lock?"""
        return self._locked_by is not None


class Channel:
    """One connection: synchronous or asynchronous, as its first message says."""

    def __init__(self, hub: HislipHub) -> None:
        self.hub = hub
        self.session: Session | None = None
        self.link: HislipLink | None = None
        self._messages = Messages()
        self._answering = 0

    @property
    def pending(self) -> int:
        """Bytes of half messages of this connection, and of its session's SCPI message."""
        session = self.session
        first = session is not None and session.channels[:1] == [self.link]
        return self._messages.pending + (int(getattr(session.door, "pending", 0)) if session and first else 0)

    @property
    def owns(self) -> bool:
        """Has its session the outputs?"""
        return self.session is not None and bool(getattr(self.session.door, "owns", False))

    def feed(self, data: bytes) -> bytes:
        """Answers messages."""
        return b"".join(self._answer(message) for message in self._messages.feed(data))

    def forget(self) -> None:
        """Forgets a half message."""
        self._messages = Messages()

    def closed(self) -> None:
        """The connection went away."""
        if self.session is not None:
            self.hub.end(self.session)

    def _answer(self, message: Message) -> bytes:
        if message.kind == INITIALIZE:
            self._join(self.hub.open())
            return Message(INITIALIZE_RESPONSE, 0, VERSION << 16 | self._session.number).pack()
        if message.kind == ASYNC_INITIALIZE:
            self._join(self.hub.find(message.parameter))
            return Message(ASYNC_INITIALIZE_RESPONSE, 0, VENDOR).pack()
        if message.kind in (DATA, DATA_END, CLEAR_COMPLETE, TRIGGER):
            return self._synchronous(message)
        return self._asynchronous(message)

    def _synchronous(self, message: Message) -> bytes:
        session = self._session
        if message.kind in (DATA, DATA_END):
            self._answering = message.parameter
            feed = session.door.feed_message if message.kind == DATA_END else session.door.feed
            reply = feed(message.payload)
            return session.reply(reply, message.parameter) if reply else b""
        if message.kind == CLEAR_COMPLETE:
            session.door.clear()
            return Message(CLEAR_ACKNOWLEDGE, 0, 0).pack()
        return b""

    def _asynchronous(self, message: Message) -> bytes:
        session = self._session
        if message.kind == MAX_SIZE:
            session.max_message = max(HEADER.size + 1, int.from_bytes(message.payload, "big"))
            return Message(MAX_SIZE_RESPONSE, 0, 0, MAX_MESSAGE.to_bytes(8, "big")).pack()
        if message.kind == ASYNC_CLEAR:
            session.clears += 1
            session.door.clear()
            return Message(ASYNC_CLEAR_ACKNOWLEDGE, 0, 0).pack()
        if message.kind == STATUS:
            waiting = MESSAGE_AVAILABLE if session.channels[0].waiting else 0
            return Message(STATUS_RESPONSE, session.door.status_byte | waiting, 0).pack()
        if message.kind == LOCK:
            return Message(LOCK_RESPONSE, self.hub.lock(session, bool(message.control)), 0).pack()
        if message.kind == LOCK_INFO:
            return Message(LOCK_INFO_RESPONSE, int(self.hub.locked), int(self.hub.locked)).pack()
        if message.kind == REMOTE_LOCAL:
            return Message(REMOTE_LOCAL_RESPONSE, 0, 0).pack()
        return Message(ERROR, 1, 0, b"unrecognized message type").pack()

    @property
    def _session(self) -> Session:
        if self.session is None:
            raise ConnectionError("HiSLIP message before initialization")
        return self.session

    def _join(self, session: Session) -> None:
        if self.session is not None or self.link is None:
            raise ConnectionError("HiSLIP channel initialized twice")
        self.session = session
        if not session.channels and isinstance(session.door, FaultyMessages):
            session.door.injector.later = self._later
        session.channels.append(self.link)

    def _later(self, seconds: float, data: bytes) -> None:
        """Sends a reply after some time, with the number of the message it answers."""
        session, link, number = self._session, self.link, self._answering
        before = session.clears
        if link is not None and data:
            link.send_later(seconds, session.reply(data, number), lambda: session.clears == before)


class HislipLink(SocketLink):
    """A HiSLIP connection in the loop."""

    def __init__(self, server: Server, channel: Channel, connection: socket.socket) -> None:
        super().__init__(server, channel, connection)
        self._channel = channel
        channel.link = self

    def close(self) -> None:
        """Closes the connection; what was half received goes at once, though link and channel know each other."""
        super().close()
        self._channel.forget()

    def send_later(self, seconds: float, data: bytes, wanted: Callable[[], bool]) -> None:
        """Sends after some time, if the link is still there and the data are still wanted."""
        self._server.call_later(seconds, lambda: self.send(data) if wanted() else None)

    @property
    def waiting(self) -> bool:
        """Are there unsent replies?"""
        return bool(self._waiting)
