"""What stands around a command and is none of its business: broken pipes, full devices, what other programs left over.

A command's result does not depend on who reads what it prints, nor on settings that a notebook, a plotting program or
another launcher left in the environment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

NOT_PRINTED = 2
FOREIGN = {"MPLBACKEND": "agg"}
"""Settings of others that would end an import of ours: figures are drawn into files, whatever a notebook wanted."""


class Outlet:
    """Standard output or the error stream, which may end before the command does: then it goes on without.

    Args:
        stream: Where it goes.

    Attributes:
        failed: Why nothing is written any more, if so.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.failed: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes; after a failure nothing, and says that it did."""
        if self.failed is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """The same."""
        if self.failed is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """What is still in buffers goes nowhere, so that the end of the process does not fail on it again."""
        self.failed = error
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    @property
    def lost(self) -> str:
        """Why something that somebody may have wanted was not written; a reader that ended wanted no more."""
        if self.failed is None or self.failed.errno in (errno.EPIPE, errno.EBADF):
            return ""
        return self.failed.strerror or str(self.failed)


@contextmanager
def shielded() -> Iterator[None]:
    """Within it a command prints wherever that goes, and finds the environment that it expects.

    Raises:
        SystemExit: all was done, but what was printed could not be written.
    """
    _fill_standard_streams()
    before, found = (sys.stdout, sys.stderr), {name: os.environ.get(name) for name in FOREIGN}
    out, err = Outlet(_readable(sys.stdout)), Outlet(_readable(sys.stderr))
    sys.stdout, sys.stderr = out, err
    os.environ.update({name: value for name, value in FOREIGN.items() if found[name] is not None})
    if any(option.startswith("error") for option in sys.warnoptions):
        warnings.resetwarnings()  # PYTHONWARNINGS is meant for somebody's own program
    try:
        yield
    except SystemExit as end:
        out.flush()
        if out.lost and not end.code:
            err.write(f"hil: what was printed could not be written ({out.lost}); the rest was done\n")
            raise SystemExit(NOT_PRINTED) from None
        raise
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
        for name, value in found.items():
            if value is not None:
                os.environ[name] = value


def _fill_standard_streams() -> None:
    """Takes the places of standard streams that were closed: else the next file that is opened would be one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the process ends


def _readable(stream: IO[str]) -> IO[str]:
    """What a terminal's alphabet lacks is spelled out, not an error; the POSIX locale has `surrogateescape`."""
    if getattr(stream, "errors", "") in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
        with contextlib.suppress(ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")
    return stream
