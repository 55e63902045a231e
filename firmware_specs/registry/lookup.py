"""Registering, finding and listing."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar, overload

from firmware_specs.printable import printable
from firmware_specs.refusals import close
from firmware_specs.registry import modules
from firmware_specs.registry.contract import check_thing
from firmware_specs.registry.errors import NameTaken, UnknownName
from firmware_specs.registry.kinds import KINDS

OURS = "crossbar-hil"
NAME = re.compile(r"\w[\w.-]*")
"""What something can be registered as."""

Thing = TypeVar("Thing")

_registered: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen.

    Attributes:
        kind: Of `KINDS`.
        name: What it is chosen by.
        origin: Package and version, or module, that brings it.
        load: Imports and returns it.
    """

    kind: str
    name: str
    origin: str
    load: Callable[[], object]

    @property
    def shipped(self) -> bool:
        """Whether our own package brings it."""
        return self.origin.partition(" ")[0] == OURS

    @property
    def summary(self) -> str:
        """Its own `summary` or the first line of its docstring, or what keeps it from being loaded."""
        try:
            thing = self.load()
        except Exception as error:
            return f"cannot be loaded: {type(error).__name__}: {error}"
        own = getattr(thing, "summary", None)
        text = own if isinstance(own, str) else getattr(thing, "__doc__", None) or ""
        return text.strip().partition("\n")[0]


@overload
def register(kind: str, name: str) -> Callable[[Thing], Thing]: ...
@overload
def register(kind: str, name: str, thing: Thing) -> Thing: ...
def register(kind: str, name: str, thing: object | None = None) -> object:
    """Makes a thing known by a name in this process; as a decorator where no thing is given.

    Raises:
        UnknownName: there is no such kind, or the thing is not what it asks for. NameTaken: the name belongs to
            something else.
    """
    if thing is None:

        def decorate(decorated: Thing) -> Thing:
            return register(kind, name, decorated)

        return decorate
    _check(kind)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UnknownName(f"{name!r} is no name for {KINDS[kind].noun}: letters, digits, - _ . are taken")
    here = _registered[kind].get(name)
    if name in _shipped(kind) or (here is not None and _identity(here.load()) != _identity(thing)):
        raise NameTaken(f"{KINDS[kind].noun} {name!r} is there already; choose another name")
    check_thing(kind, name, thing)
    origin = getattr(thing, "__module__", None) or sys.argv[0] or "interactive"
    _registered[kind][name] = Entry(kind, name, str(origin), lambda: thing)
    return thing


def find(kind: str, name: str) -> Any:
    """The thing of a kind with this name.

    Args:
        kind: Of `KINDS`.
        name: A registered name, or `module:attribute` where a person has named the module.

    Raises:
        UnknownName: there is none, it cannot be loaded, or it is not what its kind asks for.
    """
    entry = _entry(kind, name)
    if entry is not None:
        try:
            thing = entry.load()
        except Exception as error:
            raise UnknownName(
                f"{_named(name)} of {entry.origin} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        return thing if entry.shipped else check_thing(kind, name, thing)
    if modules.PATH.fullmatch(name):
        return check_thing(kind, name, modules.at(name))
    raise UnknownName(stale(kind, name) or f"{_named(name)} is not {KINDS[kind].noun}; {close(name, names(kind))}")


def stale(kind: str, name: str = "") -> str:
    """A sentence where the code is newer than its installation; empty where it is not.

    An editable installation knows the entry points of the day it was made. After a pull that adds some it must be made
    again; the checkout's own `pyproject.toml` says so.

    Args:
        kind: Of `KINDS`.
        name: What was not found; empty: anything of the kind.
    """
    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        groups = tomllib.loads(project.read_text("utf-8")).get("project", {}).get("entry-points", {})
    except (OSError, ValueError):
        return ""
    missing = set(groups.get(f"hil.{kind}", {})) - set(_shipped(kind))
    if not missing or (name and name not in missing):
        return ""
    what = repr(name) if name else f"{', '.join(sorted(missing)[:3])} of {kind}"
    return (
        f"{what} is in this checkout, but not in its installation, which is older: make it again with "
        f"`python tools/install.py` or `pip install --no-deps -e {project.parent}`"
    )


def known(kind: str, name: str) -> bool:
    """Whether a name is registered; nothing is loaded."""
    return _entry(kind, name) is not None


def scheme_of(address: str) -> tuple[str, bool, str]:
    """Scheme of an address, whether there is one, and what follows; the scheme is a name, or a `module:attribute`.

    `mine:simulator:x` has the scheme `mine:simulator` where `mine` is no scheme and a person has named that module.
    """
    head, found, rest = address.partition(":")
    place = modules.place_first(address)
    if not place or known("counterparts", head) or known("transports", head):
        return head, bool(found), rest
    return place, True, address[len(place) :].removeprefix(":")


def shipped(kind: str) -> frozenset[str]:
    """Names of the shipped things of a kind; nothing is loaded."""
    _check(kind)
    return frozenset(_shipped(kind))


def names(kind: str) -> list[str]:
    """All names of a kind, the shipped ones first."""
    return [entry.name for entry in entries(kind)]


def entries(kind: str) -> list[Entry]:
    """Everything of a kind: shipped, of other packages, registered in this process."""
    _check(kind)
    return [*_shipped(kind).values(), *_foreign(kind).values(), *_registered[kind].values()]


def _entry(kind: str, name: str) -> Entry | None:
    _check(kind)
    found = _registered[kind].get(name) or _shipped(kind).get(name)
    return found or _foreign(kind).get(name)  # other packages are looked through only for what is not ours


def _named(name: str) -> str:
    return f"'{printable(name, 80)}'"


def _check(kind: str) -> None:
    if not isinstance(kind, str):
        raise UnknownName(f"{kind!r:.80} is no kind of thing, a text is expected: {', '.join(KINDS)}")
    if kind not in KINDS:
        raise UnknownName(f"{kind!r} is no kind of thing; {close(kind, KINDS)}")


@lru_cache(maxsize=len(KINDS))
def _shipped(kind: str) -> dict[str, Entry]:
    return {point.name: _of(kind, point) for point in _points(kind) if _brings(point) == OURS}


@lru_cache(maxsize=len(KINDS))
def _foreign(kind: str) -> dict[str, Entry]:
    """Of other packages; a name that a shipped thing has stays with that, one that two packages have is nobody's."""
    found: dict[str, Entry] = {}
    for point in _points(kind):
        if _brings(point) == OURS or point.name in _shipped(kind):
            continue
        other, mine = found.get(point.name), _of(kind, point)
        found[point.name] = mine if other is None else _contested(other, mine)
    return found


@lru_cache(maxsize=1)
def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    """What packages bring, by kind, looked for once: even for one group the files of every package are read."""
    found = entry_points()
    return {kind: tuple(found.select(group=f"hil.{kind}")) for kind in KINDS}


def look_again() -> None:
    """Packages that came or went since this process first looked are seen."""
    for cached in (_installed, _shipped, _foreign):
        cached.cache_clear()


def _points(kind: str) -> Iterator[EntryPoint]:
    seen = set()
    for point in _installed()[kind]:
        if (key := (point.name, point.value)) not in seen:  # a package on the path twice
            seen.add(key)
            yield point


def _of(kind: str, point: EntryPoint) -> Entry:
    version = "" if point.dist is None else f" {_package(point.dist)[1]}"
    return Entry(kind, point.name, _brings(point) + version, point.load)


def _contested(one: Entry, other: Entry) -> Entry:
    def refuse() -> object:
        raise NameTaken(f"both {one.origin} and {other.origin} bring it: uninstall one, or name module:attribute")

    return Entry(one.kind, one.name, f"{one.origin} and {other.origin}", refuse)


def _brings(point: EntryPoint) -> str:
    return "?" if point.dist is None else _package(point.dist)[0]


@lru_cache
def _package(brought_by: Distribution) -> tuple[str, str]:
    """Name and version; each question to a distribution reads its file of metadata again."""
    return brought_by.name, brought_by.version


def _identity(thing: object) -> object:
    """A module that is imported twice (a notebook's reload) brings the same thing again, not another one."""
    name = getattr(thing, "__qualname__", None)
    return (getattr(thing, "__module__", None), name) if name else id(thing)
