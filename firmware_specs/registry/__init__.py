"""One registry of everything that is chosen by name; other packages fill it through entry points.

A name is looked up, in this order, among what `register` was called with (by a module that `--plugin` named, or by a
notebook), the shipped things, the entry points of other installed packages (group `hil.KIND`), and, where the name has
the form `module:attribute`, in a module that a person has named: on the command line (`--plugin`, `--set`, `--device`)
or from Python (`trust`). A file alone never makes anything be imported.
"""

from firmware_specs.registry.choice import choice, registered
from firmware_specs.registry.errors import NameTaken, NoSuchModule, StaleInstallation, UnfitThing, UnknownName
from firmware_specs.registry.kinds import KINDS
from firmware_specs.registry.lookup import Entry, entries, find, known, names, register, scheme_of, shipped, stale
from firmware_specs.registry.modules import plugin, plugins, trust, trust_path, trusted

__all__ = [
    "KINDS", "Entry", "NameTaken", "NoSuchModule", "StaleInstallation", "UnfitThing", "UnknownName", "choice",
    "entries", "find", "known", "names", "plugin", "plugins", "register", "registered", "scheme_of", "shipped",
    "stale", "trust", "trust_path", "trusted",
]  # fmt: skip
