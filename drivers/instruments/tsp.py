"""Meeting a TSP box that somebody else has used: its prompt, its functions, a script that was begun and not ended."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.errors import LinkTimeout, ProtocolViolation
from drivers.instruments.dialogue import Dialogue

QUIET = "localnode.prompts=0 localnode.showerrors=0"
ANSWER = ["hil", 0.0, 0.0]
SWORN = 'print("hil speaks")'
LAST_RESORT = ("endscript", "*RST")
"""Ends a script that is being loaded; resets by the interface, whatever a script has made of the box's functions."""


def greet(dialogue: Dialogue, name: str, needed: Sequence[str]) -> None:
    """Makes sure that the box prints what it is asked, and nothing else, and that its objects are there.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        needed: Names that must not be nil.

    Raises:
        ProtocolViolation: somebody's script or function stands in the way.
    """
    question = f'print("hil",localnode.prompts,localnode.showerrors,{" and ".join(f"{n}~=nil" for n in needed)})'
    try:
        answer = dialogue.ask(question)
        if _numbers(answer) != ANSWER:
            dialogue.write(QUIET)
            dialogue.resynchronize(SWORN, "hil speaks")
            answer = dialogue.ask(question)
    except LinkTimeout as error:
        raise ProtocolViolation(
            f"{question} is not answered: a script that was begun, or a function in the place of print, is in the way",
            device=name,
            todo="Switch the box off and on, or clear it by its front panel",
        ) from error
    if _numbers(answer) != ANSWER or not answer.endswith("\ttrue"):
        raise ProtocolViolation(
            f"{question} answered {answer!r}: somebody has put something in the place of {' or '.join(needed)}",
            device=name,
            todo="Switch the box off and on",
        )


def _numbers(answer: str) -> list[str | float]:
    """The word, and the numbers after it."""
    parts = answer.split("\t")
    try:
        return [parts[0], *map(float, parts[1:3])]
    except ValueError:
        return [answer]
