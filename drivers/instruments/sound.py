"""An instrument that raises errors of ours only: an answer nobody can make sense of is a protocol violation.

Every driver, and PyMeasure under some of them, turns answers into numbers in its own way, and each way fails in its
own: `ValueError` here, `KeyError` there, a list where a number was expected. What a box says is the box's doing, so all
of it is caught where the rack calls its instruments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.errors import ProtocolViolation
from firmware_specs.printable import printable

NONSENSE = (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError)


class Sound:
    """Stands in front of an instrument or a channel of one.

    Args:
        inner: It.
        name: As the rack calls it, for errors.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._inner, attribute)
        return self._guarded(attribute, found) if callable(found) else found

    def _guarded(self, what: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            try:
                return act(*args, **options)
            except NONSENSE as error:
                said = printable(f"{type(error).__name__}: {error}", 200)
                raise ProtocolViolation(
                    f"{what}: the instrument's answer makes no sense ({said})",
                    device=self._name,
                    todo="Check that the bench file names the right model, and its firmware",
                ) from error

        return guarded
