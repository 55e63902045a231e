"""Laws of cells by name: shipped ones, and ones of somebody's own with figures of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from firmware_specs.refusals import UNKNOWN_NAME, close
from firmware_specs.registry import UnknownName, find, shipped


def check(kind: str, law: str, figures: Mapping[str, float]) -> None:
    """Refuses a law that there is none of, and figures that it does not take.

    A shipped law has its figures in the section itself and is not loaded; another one is loaded now, and takes its
    figures as keyword-only parameters.

    Args:
        kind: `laws`, `drifts` or `noises` of the registry.
        law: Its name, or `module:attribute`.
        figures: Of a law of one's own.

    Raises:
        PydanticCustomError: no such law. ValueError: wrong figures.
    """
    if law in shipped(kind):
        if figures:
            raise ValueError(f"figures: of a law of one's own; {law!r} has its figures beside it")
        return
    try:
        function = find(kind, law)
    except UnknownName as error:
        raise PydanticCustomError(UNKNOWN_NAME, "{why}", {"why": f"law: {error}"}) from error
    taken = parameters(function)
    for name in figures:
        if name not in taken:
            raise ValueError(f"figures.{name}: law {law!r} does not take it; {close(name, taken)}")
    missing = [name for name, default in taken.items() if default is inspect.Parameter.empty and name not in figures]
    if missing:
        raise ValueError(f"figures.{missing[0]}: missing, law {law!r} needs it")


def parameters(function: Callable[..., Any]) -> dict[str, object]:
    """Keyword-only parameters of a law and their defaults."""
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.kind is inspect.Parameter.KEYWORD_ONLY}
