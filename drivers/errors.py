"""Everything that can go wrong between the host and a device.

```
DeviceError
├── LinkError              what was asked may or may not have happened
│   ├── LinkTimeout        no complete answer before the deadline
│   ├── LinkLost           the port or connection is gone, was refused, or never was
│   ├── CorruptFrame       bytes came back damaged: CRC, length or framing do not fit
│   ├── ProtocolViolation  a sound answer, but not to what was asked
│   └── OutputsUncertain   outputs may be on: that they are off was not confirmed
├── DeviceFault            the device understood and refused or failed: code and text
│   └── FloatingNode       the programmed network has a node without a path to a source
├── OutOfRange             refused on the host: nothing went out
│   ├── BadAddress         an address that names no device
│   └── BudgetSpent        a cell has had its pulses or its energy
├── NotSettled             a settle did not reach its tolerance, where strictness was asked for
├── Busy                   somebody else owns the device
├── LeaseOver              the owner showed no life for too long: the session switched off by itself
└── CalibrationExpired     the calibration is too old or belongs to another device
```

Errors of pyserial, pyvisa and the operating system never pass beyond the transports: `library_errors.py` maps them.
"""

from __future__ import annotations

from firmware_specs.printable import printable

LAST_BYTES = 32


class DeviceError(Exception):
    """Base of the tree. The message says what was asked, of whom, what came back, and what to do next, printably.

    Args:
        what: What was asked and how it failed, one sentence without full stop.
        device: Address of the device.
        last: What came back; the last 32 bytes are shown in hex.
        todo: What the reader can do about it.
    """

    def __init__(self, what: str, *, device: str = "", last: bytes = b"", todo: str = "") -> None:
        self.what = printable(what)
        self.device = printable(device)
        self.last = bytes(last[-LAST_BYTES:])
        self.todo = printable(todo)
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.device}: {self.what}" if self.device else self.what
        if self.last:
            text += f" (last bytes: {self.last.hex(' ')})"
        return f"{text}. {self.todo}." if self.todo else text


class LinkError(DeviceError):
    """The dialogue broke: whether the device acted on the request is unknown until it is asked."""


class LinkTimeout(LinkError):
    """No complete answer before the deadline."""


class LinkLost(LinkError):
    """The port or connection is gone, was refused, or never was."""


class CorruptFrame(LinkError):
    """Bytes came back damaged: CRC, length or framing do not fit."""


class ProtocolViolation(LinkError):
    """A sound answer, but not to what was asked."""


class OutputsUncertain(LinkError):
    """Outputs may be on: the device did not say that they are off, or said the contrary."""


class DeviceFault(DeviceError):
    """The device understood the request and refused it or failed.

    Attributes:
        code: The device's error code, as its protocol numbers them.
        text: The device's own words.
    """

    def __init__(self, code: int, text: str, *, asked: str = "a request", device: str = "", todo: str = "") -> None:
        self.code = code
        self.text = text
        super().__init__(f"{asked} was refused with error {code} ({text})", device=device, todo=todo)


class FloatingNode(DeviceFault):
    """A node of the programmed resistive network has no path to a source: nothing was settled."""


class OutOfRange(DeviceError):
    """A value was refused on the host; nothing went out."""


class BadAddress(OutOfRange):
    """An address that names no device; the message says what one looks like."""


class BudgetSpent(OutOfRange):
    """A cell has had all the pulses or all the energy it may get."""


class NotSettled(DeviceError):
    """A settle did not reach its tolerance, where strictness was asked for."""


class Busy(DeviceError):
    """Somebody else owns the device.

    Attributes:
        owner: Who, in words: process, user, host, since when.
    """

    def __init__(self, what: str, *, owner: str, device: str = "", todo: str = "") -> None:
        self.owner = owner
        super().__init__(f"{what}: it is owned by {owner}", device=device, todo=todo)


class LeaseOver(DeviceError):
    """The owner of the session showed no life for longer than its lease: the session switched off by itself."""


class CalibrationExpired(DeviceError):
    """The calibration is too old or belongs to another device."""
