"""Instruments behind VXI-11 and HiSLIP, ports behind RFC 2217, that turn hostile: written from specifications alone.

VXI-11 (VXIbus Consortium, revision 1.0, B.6) is ONC RPC (RFC 5531) in records (section 11 there): CREATE_LINK 10,
DEVICE_WRITE 11, DEVICE_READ 12, DEVICE_CLEAR 15, DESTROY_LINK 23.
"""

import contextlib
import socket
import struct
import threading

CREATE, WRITE, READ, CLEAR, DESTROY = 10, 11, 12, 15, 23
END = 4
WORD = struct.Struct("!I")
MOST = 1 << 20
HISLIP = struct.Struct("!2sBBIQ")
DATA, DATA_END = 6, 7
HISLIP_FLOODS = ("empty messages", "foreign numbers", "never ending", "trickle")
VXI11_FLOODS = ("other calls", "empty reads", "no end", "fragments", "trickle", "long opaque", "silence", "no write")
RFC2217_FLOODS = ("bytes", "subnegotiation", "options", "trickle", "deaf")


def opaque(data):
    return WORD.pack(len(data)) + data + bytes(-len(data) % 4)


def record(body):
    return WORD.pack(len(body) | 1 << 31) + body


def accepted(call, body):
    """A reply that is accepted and successful, with the results behind it."""
    return record(struct.pack("!6I", call, 1, 0, 0, 0, 0) + body)


class Served:
    """A listening socket, a thread a client, and an end to both."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._links, self.closing = [], threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing.set()
        for link in [*self._links, self._listener]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self._links.append(link)
                threading.Thread(target=self._guarded, args=(link,), daemon=True).start()

    def _guarded(self, link):
        with link, contextlib.suppress(OSError, struct.error):
            self.serve(link)

    def serve(self, link):
        raise NotImplementedError

    def exactly(self, link, count):
        data = b""
        while len(data) < count:
            chunk = link.recv(count - len(data))
            if not chunk:
                raise ConnectionResetError
            data += chunk
        return data

    def forever(self, link, chunk):
        chunk *= max(1, 16384 // len(chunk))
        while not self.closing.is_set():
            link.sendall(chunk)

    def slowly(self, link, data):
        for byte in data:
            link.sendall(bytes([byte]))
            if self.closing.wait(0.05):
                return


class Vxi11(Served):
    """A sound instrument until a message has `mark` in it; then what `how` says.

    Args:
        device: Answers messages: `feed(bytes) -> bytes`.
        how: One of `VXI11_FLOODS`, or a function (procedure, call, sound reply) -> bytes.
        mark: What the message of the host has in it with which it begins; b"" begins with the link.
    """

    def __init__(self, device, how, mark):
        self._device, self._how, self._mark, self._hostile = device, how, mark, not mark
        super().__init__()

    @property
    def resource(self):
        return f"TCPIP::127.0.0.1,{self.port}::inst0::INSTR"

    def serve(self, link):
        waiting = b""
        while True:
            head = WORD.unpack(self.exactly(link, 4))[0]
            body = self.exactly(link, head & 0x7FFFFFFF)
            call, _, _, _, _, procedure, _, length = struct.unpack("!8I", body[:32])
            arguments = body[32 + length + 8 :]
            if procedure == CREATE:
                sound = struct.pack("!4I", 0, 7, 0, MOST)
            elif procedure == WRITE:
                size = WORD.unpack(arguments[16:20])[0]
                message = arguments[20 : 20 + size]
                self._hostile = self._hostile or self._mark in message
                if not (self._hostile and self._how == "no write"):
                    waiting += self._device.feed(message)
                sound = struct.pack("!2I", 0, size)
            elif procedure == READ:
                wanted = WORD.unpack(arguments[4:8])[0]
                if not waiting and not self._hostile:  # the honest answer to a question that was never asked
                    sound = struct.pack("!2I", 15, 0) + opaque(b"")
                else:
                    chunk, waiting = waiting[:wanted], waiting[wanted:]
                    sound = struct.pack("!2I", 0, 0 if waiting else END) + opaque(chunk)
            else:
                sound = WORD.pack(0)
            if self._hostile and callable(self._how):
                link.sendall(self._how(procedure, call, accepted(call, sound)))
            elif self._hostile and (procedure == (WRITE if self._how == "no write" else READ) or not self._mark):
                self._flood(link, call)
            else:
                link.sendall(accepted(call, sound))

    def _flood(self, link, call):
        match self._how:
            case "other calls":
                self.forever(link, accepted(0, struct.pack("!2I", 0, END) + opaque(b"1\n")))
            case "empty reads":
                link.sendall(accepted(call, struct.pack("!2I", 0, 0) + opaque(b"")))
            case "no end":
                link.sendall(accepted(call, struct.pack("!2I", 0, 0) + opaque(b"1" * 4096)))
            case "fragments":
                self.forever(link, WORD.pack(4096) + b"x" * 4096)
            case "trickle":
                self.slowly(link, WORD.pack(1 << 30) + b"x" * 10**6)
            case "long opaque":
                link.sendall(record(struct.pack("!9I", call, 1, 0, 0, 0, 0, 0, END, 1 << 31)))
            case "silence" | "no write":
                self.closing.wait()


class Rfc2217(Served):
    """A serial port on the network whose board is sound until it hears `mark`; then what `how` says.

    Every option is agreed to, every setting is as wanted.
    """

    IAC, SE, SB, WILL, DO = 255, 240, 250, 251, 253
    COM_PORT = 44

    def __init__(self, device, how, starts):
        self._device, self._how, self._starts = device, how, starts
        super().__init__()

    @property
    def url(self):
        return f"rfc2217://127.0.0.1:{self.port}"

    def serve(self, link):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        told, state, command, option = bytearray(), "data", 0, bytearray()
        said = set()
        while chunk := link.recv(65536):
            for byte in chunk:
                if state == "data":
                    if byte == self.IAC:
                        state = "iac"
                    else:
                        told.append(byte)
                elif state == "iac":
                    if byte == self.IAC:
                        told.append(byte)
                        state = "data"
                    elif byte == self.SB:
                        state, option = "option", bytearray()
                    else:
                        state, command = "command", byte
                elif state == "command":
                    state = "data"
                    agreed = {self.WILL: self.DO, self.DO: self.WILL}.get(command)
                    if agreed and (agreed, byte) not in said:
                        said.add((agreed, byte))
                        link.sendall(bytes([self.IAC, agreed, byte]))
                elif state == "option":
                    if byte == self.IAC:
                        state = "option iac"
                    else:
                        option.append(byte)
                elif byte == self.SE:
                    state = "data"
                    if option[:1] == bytes([self.COM_PORT]):
                        answer = bytes([self.COM_PORT, option[1] + 100]) + bytes(option[2:])
                        escaped = answer.replace(b"\xff", b"\xff\xff")
                        link.sendall(bytes([self.IAC, self.SB]) + escaped + bytes([self.IAC, self.SE]))
                else:
                    state = "option"
                    option.append(byte)
            if told:
                data, told = bytes(told), bytearray()
                if self._starts(data):
                    self._flood(link)
                link.sendall(self._device.feed(data).replace(b"\xff", b"\xff\xff"))

    def _flood(self, link):
        match self._how:
            case "bytes":
                self.forever(link, b"\xa5" * 500)
            case "subnegotiation":
                link.sendall(bytes([self.IAC, self.SB, self.COM_PORT]))
                self.forever(link, b"x" * 500)
            case "options":
                self.forever(link, bytes([self.IAC, self.SB, self.COM_PORT, 107, 1, self.IAC, self.SE]) * 50)
            case "trickle":
                self.slowly(link, b"\xa5" * 10**6)
            case "deaf":  # reads nothing more
                self.closing.wait()


class HislipFlooder(Served):
    """A sound instrument behind HiSLIP until it is asked for its status; then messages that never answer it.

    Args:
        device: Answers before.
        how: One of `HISLIP_FLOODS`.
    """

    def __init__(self, device, how):
        self._device, self._how = device, how
        super().__init__()

    def serve(self, link):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            _, kind, _, parameter, length = HISLIP.unpack(self.exactly(link, HISLIP.size))
            payload = self.exactly(link, length)
            if kind == 0:
                link.sendall(HISLIP.pack(b"HS", 1, 0, (0x0100 << 16) | 1, 0))
            elif kind == 17:
                link.sendall(HISLIP.pack(b"HS", 18, 0, 0, 0))
            elif kind == 15:
                link.sendall(HISLIP.pack(b"HS", 16, 0, 0, 8) + struct.pack("!Q", 1 << 20))
            elif kind in (DATA, DATA_END) and b"STAT:DEV?" in payload:
                self._flood(link, parameter)
            elif kind in (DATA, DATA_END):
                answer = self._device.feed(payload)
                if answer:
                    link.sendall(HISLIP.pack(b"HS", DATA_END, 0, parameter, len(answer)) + answer)

    def _flood(self, link, number):
        chunk = {
            "empty messages": HISLIP.pack(b"HS", DATA, 0, number, 0) * 500,
            "foreign numbers": (HISLIP.pack(b"HS", DATA_END, 0, number ^ 0xFF, 64) + b"x" * 64) * 100,
            "never ending": HISLIP.pack(b"HS", DATA, 0, number, 4096) + b"x" * 4096,
            "trickle": HISLIP.pack(b"HS", DATA, 0, number, 1 << 40) + b"x" * 10**6,
        }[self._how]
        (self.slowly if self._how == "trickle" else self.forever)(link, chunk)
