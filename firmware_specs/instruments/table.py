"""Command tables of instrument models: one file a model, read into commands.

A file holds `include` (files with what several models share), `style` (how numbers and errors are written) and
`commands`: lists of header, parameter kind, value after `*RST`, name of what it acts on, and where that is from.
`?` before a kind: query only; `!`: command only. `{VOLTage=volts|CURRent=amps}` in a header makes one command a branch;
`$` in the name becomes what stands behind `=`; a word alone in the braces is a list of the file's `branches`. A `-`
is "none". ` @` behind a kind: a channel list may follow.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from firmware_specs.instruments.kinds import Kind, Value
from firmware_specs.scpi.headers import Headers
from firmware_specs.scpi.values import Parameters

_BRANCH = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class Command:
    """One command of a model.

    Attributes:
        header: As manuals write it.
        kind: Its parameter.
        sets: True where it has a command form.
        asks: True where it has a query form.
        reset: Value after `*RST`; None where it has none or `*RST` leaves it alone.
        name: What it acts on: a setting or an action of the instrument.
        source: Where kind, range and default are from, by the keys of the file's `sources`.
        channels: True where a channel list may follow.
    """

    header: str
    kind: Kind
    sets: bool
    asks: bool
    reset: Value | None
    name: str
    source: str
    channels: bool = False


@dataclass(frozen=True)
class Style:
    """How a model writes.

    Attributes:
        real: Format of a number that was set.
        reading: Format of a number that was measured.
        whole: Format of a whole number.
        empty: Entry of an empty error queue.
        error: An error, `{code}`, `{text}` filled in.
        depth: Entries the queue holds; the last becomes -350 when there are more.
        quotes: A measuring function is answered in quotes.
    """

    real: str = "{:.9G}"
    reading: str = "{:+.6E}"
    whole: str = "{:d}"
    empty: str = '0,"No error"'
    error: str = '{code},"{text}"'
    depth: int = 10
    quotes: bool = True


@dataclass(frozen=True)
class Table:
    """All commands of a model, findable.

    Attributes:
        commands: In the order of the file.
        style: How it writes.
        sources: What the `source` keys of the commands stand for.
    """

    commands: tuple[Command, ...]
    style: Style
    sources: dict[str, str]
    index: Headers

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], style: Style | None = None) -> Table:
        """The command set of an instrument of one's own, the common ones of IEEE 488.2 with it.

        Args:
            rows: Header, parameter, value after `*RST`, name of what it acts on, where that is from.
            style: How it writes.
        """
        shared = load_document("common-ieee")
        commands = [c for row in [*shared["commands"], *rows] for c in _commands(list(row), "its own", {})]
        sources = {str(row[-1]): "" for row in rows} | shared.get("sources", {})
        found = tuple({command.header: command for command in commands}.values())
        return cls(found, style or Style(), sources, Headers(c.header for c in found))

    def reaching(self, volts: float, amps: float) -> Table:
        """The same commands for a model with other largest ranges: levels, limits and ranges reach so far.

        Args:
            volts: Largest set-point.
            amps: Largest set-point.
        """
        most = {"V": volts, "A": amps}
        now = {unit: max(c.kind.high for c in self.commands if c.kind.unit == unit) for unit in most}
        commands = tuple(_reaching(command, now, most) for command in self.commands)
        return replace(self, commands=commands)  # the headers are the same, and so their index

    def find(self, header: str) -> tuple[Command, tuple[int | None, ...]]:
        """The command a header spells, and its suffixes; raises as `Headers.find`."""
        place, suffixes = self.index.find(header)
        return self.commands[place], suffixes


def tables() -> tuple[str, ...]:
    """Names of the tables, without those that are only included."""
    folder = resources.files("firmware_specs.instruments")
    names = (item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    return tuple(sorted(name for name in names if not name.startswith("common-")))


@cache
def load_table(name: str) -> Table:
    """The table of a model, or of the models that share one (`keysight-b2900`)."""
    document = load_document(name)
    rows: dict[str, Command] = {}
    sources: dict[str, str] = {}
    for part in [*(load_document(other) for other in document.get("include", [])), document]:
        sources |= part.get("sources", {})
        for row in part["commands"]:
            for command in _commands(row, name, part.get("branches", {})):
                rows[command.header] = command
    commands = tuple(rows.values())
    return Table(commands, Style(**document.get("style", {})), sources, Headers(c.header for c in commands))


def _reaching(command: Command, now: dict[str, float], most: dict[str, float]) -> Command:
    kind = command.kind
    if kind.unit not in most or kind.high != now[kind.unit]:
        return command
    high = most[kind.unit]
    low = -high if kind.low == -kind.high else kind.low
    reset = command.reset
    if isinstance(reset, int | float) and not isinstance(reset, bool):
        reset = high if reset == kind.high else min(reset, high)
    return replace(command, kind=replace(kind, low=low, high=high), reset=reset)


@cache
def load_document(name: str) -> dict:
    """The file of a table, read once: for looking, not for changing."""
    return tomllib.loads((resources.files("firmware_specs.instruments") / f"{name}.toml").read_text("utf-8"))


def _commands(row: list[str], where: str, branches: dict[str, str]) -> Iterator[Command]:
    header, text, reset, name, source = row
    try:
        branch = _BRANCH.search(header)
        if branch is None:
            yield _command(header, text, reset, name, source)
            return
        for part in branches.get(branch[1], branch[1]).split("|"):
            node, _, meaning = part.partition("=")
            one = header[: branch.start()] + node + header[branch.end() :]
            yield from _commands([one, text, reset, name.replace("$", meaning), source], where, branches)
    except ValueError as error:
        raise ValueError(f"{where}.toml: {header}: {error}") from error


def _command(header: str, text: str, reset: str, name: str, source: str) -> Command:
    channels = text.endswith(" @")
    bare = text.removesuffix(" @").lstrip("?!") or "none"
    kind = Kind.parse(bare)
    sets, asks = not text.startswith("?"), not text.startswith("!") and kind.name != "none"
    asks = asks or text.startswith("?")
    return Command(header, kind, sets, asks, _reset(kind, reset), name, source, channels)


def _reset(kind: Kind, text: str) -> Value | None:
    if text == "-":
        return None
    if kind.name == "word":
        return next(word for word in kind.words if word.upper() == text.upper() or kind.words[word] == text)
    if kind.name == "quoted":
        return next(word for word, answer in kind.words.items() if text in (word, answer))
    if kind.name == "string":
        return text.strip('"')
    if kind.name == "list":
        return tuple(float(part) for part in text.split(",") if part)
    return kind.read(Parameters((text.encode(),)), None)
