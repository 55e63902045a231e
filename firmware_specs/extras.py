"""Parts that are installed by name: what is missing is said with the line that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = "crossbar-hil"


class ExtraMissing(ImportError):
    """A package of an extra is not installed; the message says which line installs it."""


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Imports inside it may need an extra.

    Args:
        name: The extra.
        what: What needs it, for the message.

    Raises:
        ExtraMissing: a package is not there. A module of our own that is not there is a bug, and passes as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        root = (error.name or "").partition(".")[0]
        if root in ("hil", "drivers", "emulator", "firmware_specs", ""):
            raise
        raise ExtraMissing(
            f"{what} needs {root}, which is not installed: python -m pip install '{PACKAGE}[{name}]', "
            f"in a checkout '.[{name}]'",
            name=error.name,
        ) from error
