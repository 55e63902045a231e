"""Attributes of a TSP box: a table of paths with kinds and defaults, by the same files as SCPI commands.

A path whose parent is in the table's `open` list takes any attribute (`display`): it is remembered, without effect.
Words of a table (`smu.ON`) are constants that are printed by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from emulator.instruments.refused import Refused
from firmware_specs.instruments import Command, load_document, load_table
from firmware_specs.instruments.kinds import Value

NOT_A_NUMBER = "TSP Runtime error at line 1: {path}: a number was expected"
NOT_A_WORD = "TSP Runtime error at line 1: {path}: one of {words} was expected"
TOO_SMALL, TOO_BIG = Refused(1102, "Parameter too small"), Refused(1103, "Parameter too big")


class Tree:
    """All attributes of one box.

    Args:
        table: Name of the file.
        channels: Letters of its source-measure channels; paths of others (`smub`) are left out.

    Attributes:
        hooks: Path -> what looks at a value before it is kept.
        computed: Path -> what answers instead.
        constants: Path -> value.
        defaults: Key of an attribute -> its default, where it is not the table's.
    """

    def __init__(self, table: str, channels: Iterable[str]) -> None:
        document = load_document(table)
        absent = tuple(f"smu{letter}." for letter in "ab" if letter not in channels)
        self._commands = {
            command.header: command
            for command in load_table(table).commands
            if not any(part in f"{command.header}." for part in absent)
        }
        self._open = tuple(document.get("open", ()))
        self.defaults: dict[str, Any] = dict(document.get("defaults", {}))
        self.constants: dict[str, float | str | bool] = {
            path: value for path, value in document.get("constants", {}).items() if not path.startswith(absent or "?")
        }
        self.constants |= {
            word: word for c in self._commands.values() if c.kind.name == "word" for word in c.kind.words
        }
        self.hooks: dict[str, Callable[[Any], object]] = {}
        self.computed: dict[str, Callable[[], Any]] = {}
        self._set: dict[str, Any] = {}

    def objects(self, methods: Iterable[str]) -> list[str]:
        """Paths that are tables in Lua, parents first: those of attributes, constants and methods."""
        found: set[str] = set()
        for path in (*self._commands, *self.constants, *methods, *(f"{path}.*" for path in self._open)):
            nodes = path.split(".")[:-1]
            found |= {".".join(nodes[: i + 1]) for i in range(len(nodes))}
        return sorted(found - {"trigger"}, key=lambda path: (path.count("."), path))

    def names(self, path: str) -> str:
        """Attributes of an object by their own names, with `=` behind those that may be set."""
        found = {command.header: "=" * command.sets for command in self._commands.values()}
        found |= {key.partition("@")[0]: "=" for key in self._set}
        own = {name.rpartition(".")[2]: sets for name, sets in found.items() if name.rpartition(".")[0] == path}
        return " ".join(name + sets for name, sets in own.items())

    def forget(self, prefix: str = "") -> None:
        """Attributes back to their defaults."""
        self._set = {path: value for path, value in self._set.items() if not path.startswith(prefix)}

    def get(self, path: str) -> Any:
        """Value of an attribute.

        Raises:
            Refused: there is none.
        """
        compute = self.computed.get(path)
        return self.kept(path) if compute is None else compute()

    def kept(self, path: str) -> Any:
        """What was set, or the default, whatever answers instead."""
        key = self.key(path)
        if key in self._set:
            return self._set[key]
        command = self._commands.get(path)
        if command is not None:
            return self.defaults.get(key, command.reset)
        if path.startswith(self._open or ("?",)):
            return None
        raise Refused(-286, f"TSP Runtime error at line 1: no attribute {path!r}")

    def put(self, path: str, value: Any) -> None:
        """Sets an attribute.

        Raises:
            Refused: there is none, it is read only, or the value does not fit.
        """
        command = self._commands.get(path)
        if command is None:
            if path.startswith(self._open or ("?",)):
                self._set[path] = value
                return
            raise Refused(-286, f"TSP Runtime error at line 1: no attribute {path!r}")
        if not command.sets:
            raise Refused(-286, f"TSP Runtime error at line 1: {path!r} is read only")
        kept = _fitting(command, value)
        hook = self.hooks.get(path)
        if hook is not None:
            hook(kept)
        self._set[self.key(path)] = kept

    def was_set(self, path: str) -> Any:
        """What a script set an attribute to; None where none did."""
        return self._set.get(path)

    def settable(self, prefix: str) -> list[str]:
        """Attributes that may be set, by how their paths begin."""
        return [path for path, command in self._commands.items() if command.sets and path.startswith(prefix)]

    def key(self, path: str) -> str:
        """Where the value of an attribute is kept: by its path, unless a model has several of one path."""
        return path


def _fitting(command: Command, value: Any) -> Value:
    """A value of a script as its attribute takes it."""
    kind = command.kind
    if kind.name == "string":
        return str(value)
    if kind.name == "word":
        if value not in kind.words:
            raise Refused(-286, NOT_A_WORD.format(path=command.header, words=", ".join(kind.words)))
        return value
    if isinstance(value, bool) and kind.name == "bool":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(-286, NOT_A_NUMBER.format(path=command.header))
    if kind.name == "bool":
        return float(value)
    if not value >= kind.low - abs(kind.low) * 1e-9:
        raise TOO_SMALL
    if not value <= kind.high + abs(kind.high) * 1e-9:
        raise TOO_BIG
    return round(value) if kind.name == "int" else float(value)
