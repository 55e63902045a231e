"""Lua for TSP boxes: real Lua 5.1 (the boxes have 5.0), bounded in instructions and in memory.

A message is a chunk in a coroutine, so that a script may wait for a trigger in the middle of it. Scripts see the safe
part of the libraries and the box's objects (`prelude.lua`); Python is reached by closures only, and answers with
plain values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

from emulator.instruments.refused import Refused
from firmware_specs.extras import extra

with extra("rack", "an instrument that speaks Lua"):
    from lupa import lua51

INSTRUCTIONS = 20_000_000
"""Of one message: a fifth of a second of a loop that does nothing."""
MEMORY = 48 << 20
EVERY = 100_000
LONGEST = 50_000_000
"""Work of one pattern or one `string.rep`, characters."""
OUT_OF_MEMORY = Refused(-225, "Out of memory")
_PLACE = re.compile(r'^\[string "[^"]*"\]:(\d+): (.*)', re.DOTALL)
_MARKED = re.compile("\1(-?\\d+)\1(.*)", re.DOTALL)
Host = Callable[..., Any]


class Lua:
    """One interpreter.

    Args:
        host: Called with a verb and its arguments; returns a value or a tuple of several, and refuses by `Refused`.
        furnish: Called when the interpreter began anew, to fill it.
    """

    def __init__(self, host: Host, furnish: Callable[[], None]) -> None:
        self._host, self._furnish = host, furnish
        self._begin()

    def _begin(self) -> None:
        """A new interpreter: nothing of a user is left."""
        self._runtime = lua51.LuaRuntime(
            encoding="latin-1",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_nothing,
            max_memory=MEMORY,
        )
        prelude = (resources.files("emulator.instruments.tsp") / "prelude.lua").read_text("utf-8")
        chunk = self._runtime.eval("function(text) return assert(loadstring(text, 'prelude')) end")(prelude)
        self._interface = chunk(self._call, LONGEST, EVERY)

    def make(self, kind: str, path: str) -> None:
        """Gives scripts an `object`, a `method`, a `buffer`, a `smu`, or the `builtin` functions."""
        self._interface.make(kind, path)

    def set(self, path: str, value: float | str | bool) -> None:
        """Gives scripts a constant."""
        self._interface.set(path, value)

    def run(self, text: str) -> None:
        """Runs a chunk of the box's own, for functions that are written in Lua."""
        self._runtime.execute(text)

    def start(self, text: str) -> float | None:
        """Compiles a message and runs it until it ends (None) or waits for a trigger (for so many seconds).

        Raises:
            Refused: -285, it is no Lua; what the instrument refused; -286, an error of the script; -225, no memory.
        """
        return self._advanced(self._interface.start, text, "tsp", INSTRUCTIONS)

    def go(self, *given: object) -> float | None:
        """Goes on with the message that waited.

        Args:
            given: What the waiting statement returns: whether a trigger came.

        Raises:
            Refused: as `start`.
        """
        return self._advanced(self._interface.go, INSTRUCTIONS, *given)

    def _advanced(self, run: Callable[..., Any], *given: object) -> float | None:
        try:
            found = run(*given)
        except lua51.LuaMemoryError as error:
            raise self._out() from error
        if found == "done":
            return None
        what, more = self._both(found)
        if what == "syntax":
            line, words = _placed(str(more))
            raise Refused(-285, f"TSP Syntax error at line {line}: {words}")
        if what == "error":
            if "not enough memory" in str(more):
                raise self._out()
            raise self._refusal(str(more))
        return float(more or 0.0)

    def _out(self) -> Refused:
        """Out of memory: what nobody holds is given back; what a script still holds goes with all its globals."""
        self._runtime.gccollect()
        if self._runtime.get_memory_used() > MEMORY // 2:
            self._begin()
            self._furnish()
        return OUT_OF_MEMORY

    def _call(self, *given: object) -> Any:
        try:
            value = self._host(*given)
        except Refused as refused:
            return False, f"\1{refused.code}\1{refused.text}"
        return (True, *value) if isinstance(value, tuple) else (True, value)

    @staticmethod
    def _both(value: Any) -> tuple[Any, Any]:
        return value if isinstance(value, tuple) else (value, None)

    @staticmethod
    def _refusal(text: str) -> Refused:
        marked = _MARKED.search(text)
        if marked:
            return Refused(int(marked[1]), marked[2])
        line, words = _placed(text)
        return Refused(-286, f"TSP Runtime error at line {line}: {words}")


def _nothing(owner: object, name: object, setting: bool) -> object:
    raise AttributeError(name)


def _placed(text: str) -> tuple[str, str]:
    match = _PLACE.match(text)
    return (match[1], match[2]) if match else ("1", text)
