"""Whether a thing of somebody's own is what its kind asks for, as far as can be seen without calling it."""

from __future__ import annotations

import inspect
from typing import TypeVar

from firmware_specs.printable import printable
from firmware_specs.registry.errors import UnfitThing
from firmware_specs.registry.kinds import KINDS, Kind

Thing = TypeVar("Thing")


def check_thing(kind: str, name: str, thing: Thing) -> Thing:
    """The thing itself, where it has what its kind asks for.

    Args:
        kind: Of `KINDS`.
        name: What it is chosen by, for the refusal.
        thing: What was registered, or stands at a path.

    Raises:
        UnfitThing: an attribute is missing, or it cannot be called as it will be.
    """
    asked = KINDS[kind]
    if why := _lacks(thing, asked) or _cannot_be_called(thing, asked):
        raise UnfitThing(f"'{printable(name, 80)}' {why}; expected of {asked.noun}: {asked.contract}")
    return thing


def _lacks(thing: object, asked: Kind) -> str:
    missing = [name for name in asked.has if not hasattr(thing, name)]
    if not missing:
        return ""
    what = thing.__name__ if isinstance(thing, type) else f"{thing!r:.60}"
    return f"is {what}, which has no {', '.join(missing)}"


def _cannot_be_called(thing: object, asked: Kind) -> str:
    if asked.takes is None:
        return ""
    if not callable(thing):
        return f"is {thing!r:.60}, which cannot be called"
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):  # of a function written in C, which does not say
        return ""
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in by_place if p.default is p.empty]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    most = len(asked.takes) if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(by_place)
    if len(needed) <= len(asked.takes) <= most and (asked.figures or not by_name):
        return ""
    return f"takes {inspect.signature(thing)} and is called with ({', '.join(asked.takes)})"
