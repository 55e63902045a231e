"""What docstrings in Google's style say of a class and of its attributes."""

from __future__ import annotations

import inspect
import re

SECTION = re.compile(r"^(Attributes|Args):\s*$")
ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


def summary(of: type) -> str:
    """The first paragraph, in one line."""
    return " ".join((inspect.getdoc(of) or "").partition("\n\n")[0].split())


def attributes(of: type) -> dict[str, str]:
    """Texts of the attributes, those of the classes above it too; one text may be of several, `a, b: ...`."""
    found: dict[str, str] = {}
    for one in reversed(of.__mro__):
        if one is not object and one.__doc__:
            found |= _entries(inspect.cleandoc(one.__doc__))
    return found


def _entries(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in text.splitlines():
        if SECTION.match(line):
            inside = True
        elif inside and (entry := ENTRY.match(line)):
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif inside and names and line.startswith("        "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        elif line and not line.startswith(" "):
            inside = False
    return found
