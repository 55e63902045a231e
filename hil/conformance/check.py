"""A check and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from hil.conformance.subject import Subject

S_contra = TypeVar("S_contra", bound=Subject, contravariant=True)

Level = Literal["required", "optional"]
Verdict = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check(Generic[S_contra]):
    """One thing the protocol's text demands.

    Attributes:
        name: Short and stable, `group.what`.
        section: Section of the protocol text it tests.
        demand: What the text demands, one sentence.
        run: Performs it; raises `Failed` with what was seen, or `Skipped` with why it does not apply. Gives what
            it left out, in words.
        level: A failed required check fails the device; optional ones are reported only.
    """

    name: str
    section: str
    demand: str
    run: Callable[[S_contra], str | None]
    level: Level = "required"


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        check: Which one.
        verdict: `passed`, `failed` or `skipped`.
        seen: What was seen, or why it was skipped; where it passed, what it left out.
        seconds: How long it took.
        set_up: Was the device brought to the known state that a check begins from?
    """

    check: Check[Any]
    verdict: Verdict
    seen: str
    seconds: float
    set_up: bool = True
