"""An instrument that raises errors of ours only: an answer nobody can make sense of is a protocol violation.

Every driver, and PyMeasure under some of them, turns answers into numbers in its own way, and each way fails in its
own: `ValueError` here, `KeyError` there, a list where a number was expected. What a box says is the box's doing, so all
of it is caught where the rack calls its instruments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from drivers import answers
from drivers.errors import OutOfRange
from drivers.instruments.dialogue import Dialogue
from firmware_specs.printable import printable

NONSENSE = (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError)


class Sound:
    """Stands in front of an instrument or a channel of one.

    Args:
        inner: It.
        name: As the rack calls it, for errors.
        dialogue: Knows what was asked last, and the answer.
    """

    def __init__(self, inner: Any, name: str, dialogue: Dialogue) -> None:
        vars(self).update(_inner=inner, _name=name, _dialogue=dialogue)

    def __getattr__(self, attribute: str) -> Any:
        if not hasattr(type(self._inner), attribute):  # no property: nothing is asked
            return getattr(self._inner, attribute)
        found = self._try(getattr, self._inner, attribute)
        return partial(self._try, found) if callable(found) else found

    def __setattr__(self, attribute: str, value: Any) -> None:
        self._try(setattr, self._inner, attribute, value)

    def _try(self, act: Callable[..., Any], *args: Any, **options: Any) -> Any:
        before = self._dialogue.last_traffic
        try:
            return act(*args, **options)
        except NONSENSE as error:
            said = printable(f"{type(error).__name__}: {error}", 200)
            if self._dialogue.last_traffic == before:
                raise OutOfRange(f"{said}; nothing was sent", device=self._name) from error
            raise answers.nonsense(self._dialogue.answered, self._dialogue.asked, self._name, said) from error
