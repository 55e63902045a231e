"""The one place where errors of pyserial, pyvisa and the operating system become ours.

One pulled cable raises SerialException, OSError 5, OSError 6 or termios.error, by platform and moment; pyvisa-py adds
bare `Exception`. All of them leave the transports through `translate`, always `raise ... from`.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pyvisa.errors
import serial
from pyvisa.constants import StatusCode

from drivers.device_kind import is_served
from drivers.errors import Busy, DeviceError, LinkLost, LinkTimeout, OutOfRange

OPENING = "opening"
"""How what is asked begins while an address is made a connection."""
LIBRARY_ERRORS: tuple[type[Exception], ...] = (Exception,)
"""What a call into a library is guarded with: pyvisa-py raises bare `Exception` where it has nothing better."""

_TIMEOUTS = (TimeoutError, serial.SerialTimeoutException)
_BUSY_ERRNO = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_MISSING_ERRNO = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)
_HUNG_UP_ERRNO = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
_VISA_TIMEOUT = (StatusCode.error_timeout,)
_VISA_BUSY = (StatusCode.error_resource_busy, StatusCode.error_resource_locked)
_VISA_ADDRESS = (
    StatusCode.error_invalid_resource_name,
    StatusCode.error_resource_not_found,
    StatusCode.error_nonsupported_operation,
)

_REPLUG = "Check cable and power, then start again"
_HUNG_UP = (
    "The other side closed it: it was switched off or restarted, or it takes one client at a time and another program "
    "is connected. Look which, then start again"
)
_INSTALL = (
    "Install the library it names (`pip install pyusb` for USB, `gpib-ctypes` for GPIB, a maker's VISA for @ivi), or "
    "name another one with --visa-library"
)
_NO_SUCH_HOST = re.compile(r"name or service not known|getaddrinfo|nodename nor|name resolution|does not resolve", re.I)
_SPELL = "Look how the host's name is spelled, and whether this machine can look it up"
_NO_PORT = "Name a serial port; `hil devices` lists what there is"
_OF_A_HOST = re.compile(r"(?:socket|rfc2217)://|^visa:TCPIP", re.I)
_LIBRARY = re.compile(
    r"could not (?:locate|open) (?:a )?VISA|no module named|please install|backend|not installed|wrapper not found"
    r"|library|missing dependenc",
    re.IGNORECASE,
)
_PERMISSION = "Give your user access to the port (on Linux: the dialout group), then log in again"


def translate(error: Exception, asked: str, device: str) -> DeviceError:
    """The error of ours that says what a library's error means.

    Args:
        error: What the library raised. An error of ours passes unchanged.
        asked: What was being done, for the message.
        device: Address of the device.
    """
    if isinstance(error, DeviceError):
        return error
    said = f"{type(error).__name__}: {error}"
    code = _errno(error)
    status = error.error_code if isinstance(error, pyvisa.errors.VisaIOError) else None
    if isinstance(error, _TIMEOUTS) or code == errno.ETIMEDOUT or status in _VISA_TIMEOUT:
        return LinkTimeout(f"{asked} did not end before the deadline ({said})", device=device)
    if code in _BUSY_ERRNO or status in _VISA_BUSY:
        return Busy(f"{asked} failed ({said})", owner="another program", device=device, todo="Close it and try again")
    if code == errno.ENOTTY or (code in (errno.EACCES, errno.EPERM) and _is_a_file(device)):
        return LinkLost(f"{asked} found what is no serial port ({said})", device=device, todo=_NO_PORT)
    if code in (errno.EACCES, errno.EPERM):
        return LinkLost(f"{asked} is not permitted ({said})", device=device, todo=_PERMISSION)
    if code in _MISSING_ERRNO or status in _VISA_ADDRESS:
        return LinkLost(f"{asked} found nothing there ({said})", device=device, todo="`hil devices` lists what answers")
    if _lacks_library(error, status):
        return OutOfRange(f"{asked} needs a library that is not here ({said})", device=device, todo=_INSTALL)
    if isinstance(error, socket.gaierror) or _NO_SUCH_HOST.search(str(error)):
        return LinkLost(f"{asked} found no such host ({said})", device=device, todo=_SPELL)
    if _is_bad_setting(error) or (asked.startswith(OPENING) and code is None and _comes_of_a_bad_address(error)):
        hint = "; HOST and PORT, 1 to 65535, are needed" if _OF_A_HOST.search(device) else ""
        return OutOfRange(
            f"{asked} was refused ({said})", device=device, todo=f"Check the address and its options{hint}"
        )
    todo = _HUNG_UP if is_served(device) and (isinstance(error, ConnectionError) or code in _HUNG_UP_ERRNO) else _REPLUG
    return LinkLost(f"the connection is gone: {asked} failed ({said})", device=device, todo=todo)


def _is_a_file(device: str) -> bool:
    """A user who may not write to a file is not helped by access to it."""
    return Path(device.removeprefix("serial:").partition("?")[0]).is_file()


def _lacks_library(error: Exception, status: object) -> bool:
    """Is it something that is not installed? No cable mends that."""
    if isinstance(error, ImportError | pyvisa.errors.LibraryError) or status == StatusCode.error_library_not_found:
        return True
    text = isinstance(error, ValueError | OSError | pyvisa.errors.Error) and _errno(error) is None
    return text and status is None and bool(_LIBRARY.search(str(error)))


def _is_bad_setting(error: Exception) -> bool:
    """ValueError, TypeError and pyvisa's own complaints about arguments: a setting no cable can mend."""
    if isinstance(error, OSError):
        return False
    kinds = (ValueError, TypeError, pyvisa.errors.VisaTypeError, pyvisa.errors.OSNotSupported)
    return isinstance(error, kinds) and not isinstance(error, pyvisa.errors.InvalidSession)


def _comes_of_a_bad_address(error: Exception) -> bool:
    """pyserial words what it cannot read in an address as a port that cannot be opened, pyvisa-py as `Exception`."""
    kinds = (ValueError, TypeError, LookupError, OverflowError)
    return any(isinstance(cause, kinds) or "port must be" in str(cause) for cause in _causes(error))


def _errno(error: Exception) -> int | None:
    """The errno of an OSError, or the first argument of termios.error, or that of what the error was raised from."""
    for cause in _causes(error):
        code = getattr(cause, "errno", None)
        if code is None and cause.args and type(cause).__module__ == "termios":
            code = cause.args[0]
        if isinstance(code, int):
            return code
    return None


def _causes(error: Exception) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
