"""What the registry refuses."""

from __future__ import annotations


class UnknownName(ValueError):
    """A name that nothing answers to; the message says what is close, or why the thing could not be loaded."""


class NoSuchModule(UnknownName):
    """A module that a person named and that is nowhere."""


class UnfitThing(UnknownName):
    """A thing that is not what its kind asks for; the message says what that is."""


class StaleInstallation(UnknownName):
    """The code is newer than the installation that says what it brings."""


class NameTaken(ValueError):
    """A name that two things want."""
