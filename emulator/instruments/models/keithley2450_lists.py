"""Configuration lists of a 2450: settings of the source or of the measurement, stored by number, recalled by number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from emulator.instruments.models.keithley2450_settings import FUNCTIONS, FunctionTree
from emulator.instruments.refused import Refused
from emulator.instruments.tsp.common import whole

NO_LIST = Refused(-286, "TSP Runtime error at line 1: no configuration list of that name")
NO_INDEX = Refused(-222, "Parameter data out of range")
MOST = 100_000
LAST = ("level", "range", "autorange")
"""Set after the others: a level within the range it was stored with."""


class ConfigLists:
    """The lists of one kind.

    Args:
        tree: The settings.
        kind: Whose settings.
    """

    def __init__(self, tree: FunctionTree, kind: Literal["source", "measure"]) -> None:
        self._tree, self._kind = tree, kind
        self.named: dict[str, list[dict[str, Any]]] = {}
        self._told: list[str] = []

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Functions, by path."""
        found: dict[str, Callable[..., Any]] = {
            "create": self._create,
            "delete": self._delete,
            "store": partial(self._store, None),
            "storefunc": lambda name=None, function=None, index=None, *_: self._store(function, name, index),
            "recall": lambda name=None, index=1, *_: self.recall(name, index),
            "size": lambda name=None, *_: len(self.of(name)),
            "query": self._query,
            "catalog": lambda *_: self._catalog(),
        }
        return {f"smu.{self._kind}.configlist.{name}": method for name, method in found.items()}

    def of(self, name: Any) -> list[dict[str, Any]]:
        """A list by name.

        Raises:
            Refused: there is none.
        """
        if name not in self.named:
            raise NO_LIST
        return self.named[name]

    def recall(self, name: Any, index: Any) -> None:
        """Settings as they were stored."""
        entries, place = self.of(name), whole(index)
        if not 1 <= place <= len(entries):
            raise NO_INDEX
        entry = dict(entries[place - 1])
        self._tree.put(f"smu.{self._kind}.func", entry.pop("func"))
        last = {ending: entry.pop(f"smu.{self._kind}.{ending}", None) for ending in LAST}
        for path, value in entry.items():
            self._tree.put(path, value)
        auto = last["autorange"]
        self._tree.put(f"smu.{self._kind}.autorange", auto)
        if auto == "smu.OFF":
            self._tree.put(f"smu.{self._kind}.range", last["range"])
        if last["level"] is not None:
            self._tree.put("smu.source.level", last["level"])

    def fill(self, name: Any, levels: tuple[float, ...]) -> None:
        """What a sweep makes: the present settings, with one level after the other."""
        first = self._snapshot(None)
        self.named[str(name)] = [first | {"smu.source.level": level} for level in levels[:MOST]]

    def _snapshot(self, word: Any) -> dict[str, Any]:
        tree, kind = self._tree, self._kind
        word = tree.get(f"smu.{kind}.func") if word is None else word
        with tree.as_function(kind, word):
            other = "vlimit" if FUNCTIONS[word] == "volts" else "ilimit"
            paths = [p for p in tree.settable(f"smu.{kind}.") if p.split(".")[2] not in ("func", "output", other)]
            return {"func": word} | {path: tree.get(path) for path in paths}

    def _create(self, name: Any = None, *_: Any) -> None:
        if not isinstance(name, str) or name in self.named:
            raise NO_LIST
        self.named[name] = []

    def _delete(self, name: Any = None, index: Any = None, *_: Any) -> None:
        entries = self.of(name)
        if index is None:
            del self.named[name]
        elif 1 <= (place := whole(index)) <= len(entries):
            del entries[place - 1]
        else:
            raise NO_INDEX

    def _store(self, function: Any, name: Any = None, index: Any = None, *_: Any) -> None:
        entries = self.of(name)
        place = len(entries) + 1 if index is None else whole(index)
        if not 1 <= place <= min(len(entries) + 1, MOST):
            raise NO_INDEX
        entries[place - 1 : place] = [self._snapshot(function)]

    def _query(self, name: Any = None, index: Any = 1, separator: Any = ",", *_: Any) -> str:
        entries, place = self.of(name), whole(index)
        if not 1 <= place <= len(entries):
            raise NO_INDEX
        entry = {f"smu.{self._kind}.func": entries[place - 1]["func"]} | entries[place - 1]
        return f"{separator} ".join(f"{path} = {value}" for path, value in entry.items() if path != "func")

    def _catalog(self) -> str | None:
        """One name a call, nil after the last."""
        for name in self.named:
            if name not in self._told:
                self._told.append(name)
                return name
        self._told = []
        return None
