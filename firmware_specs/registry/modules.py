"""Modules that a person has named outside of any file: what they register, and their attributes, can be chosen.

A module is looked for where Python looks, and last in the current folder. That folder comes to the end of Python's path
when a named module is found in it and nowhere else: the person trusts it, and nothing installed is shadowed by it.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module, invalidate_caches
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from firmware_specs.printable import printable
from firmware_specs.registry.errors import NameTaken, NoSuchModule, UnknownName

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
"""`module:attribute`."""
_PATH_FIRST = re.compile(PATH.pattern + r"(?=[:?]|$)")

_trusted: set[str] = set()
_plugins: list[str] = []


def plugin(module: str) -> None:
    """Imports a module that a person named; what it registers is known from then on, and its attributes by path.

    Raises:
        UnknownName: it cannot be imported, with the reason.
    """
    trust(module)
    _import(module)
    if module not in _plugins:
        _plugins.append(module)


def plugins() -> tuple[str, ...]:
    """Modules named by `--plugin`, for provenance and for processes that this one starts."""
    return tuple(_plugins)


def trusted() -> tuple[str, ...]:
    """All modules that a person named, for processes that this one starts."""
    return tuple(sorted(_trusted))


def trust(module: str) -> None:
    """Lets `module:attribute` be used by name: a person has named the module, outside of any file.

    Raises:
        UnknownName: that is no name of a module.
    """
    file = isinstance(module, str) and module.endswith(".py")
    if file or not isinstance(module, str) or not MODULE.fullmatch(module):
        meant = f"; leave out the folder and .py: {Path(module).stem}" if file else ", e.g. mine or package.mine"
        raise UnknownName(f"{module!r} is no name of a module{meant}")
    _trusted.add(module)


def trust_path(text: str) -> None:
    """`trust` for the module of a `module:attribute`, which more may follow; any other text is left alone."""
    if found := _PATH_FIRST.match(text):
        trust(found[0].partition(":")[0])


def place_first(text: str) -> str:
    """The `module:attribute` that a text begins with, where a person has named the module; empty where not."""
    found = _PATH_FIRST.match(text)
    return found[0] if found and found[0].partition(":")[0] in _trusted else ""


def at(path: str) -> object:
    """What stands at a `module:attribute`.

    Raises:
        UnknownName: nobody has named the module, it cannot be imported, or it has no such attribute.
    """
    module, _, attribute = path.partition(":")
    if module not in _trusted:
        raise UnknownName(
            f"'{printable(path, 80)}' is code of module {printable(module, 80)}, which nobody has named outside of a "
            f"file; if you trust it, add --plugin {printable(module, 80)}"
        )
    thing: object = _import(module)
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise UnknownName(f"{path!r}: {getattr(thing, '__name__', module)} has no attribute {part!r}")
        thing = getattr(thing, part)
    return thing


def _import(module: str) -> object:
    try:
        _look_here_too(module.partition(".")[0])
        return import_module(module)
    except NameTaken:
        raise
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        kind = NoSuchModule if missing else UnknownName
        raise kind(f"module {module!r} cannot be imported: {type(error).__name__}: {error}") from error


def _look_here_too(package: str) -> None:
    """The `hil` script has its own folder on the path, not the one a person works in, as `python -m hil` has."""
    if package in sys.modules or find_spec(package) is not None:
        return
    here = str(Path.cwd())
    invalidate_caches()  # a file may have been written since the folder was last looked through
    if PathFinder.find_spec(package, [here]) is not None:
        sys.path.append(here)
