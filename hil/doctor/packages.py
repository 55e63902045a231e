"""Python and packages against the ranges that this package states of itself."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hil.doctor.finding import Finding

SECTION = "Python and packages"
PACKAGE = "crossbar-hil"
EXTRAS = {
    "measure": "hil characterize, calibrate, map, import and twin",
    "rack": "racks of instruments, and virtual ones that speak Lua",
    "fast": "dense nets in two thirds to four fifths of the time",
    "test": "the test suite",
    "dev": "make lint",
    "live": "hil live",
    "mcp": "hil mcp",
    "firmware": "building the reference firmware without a C compiler",
    "peers": "make peers",
    "soak": "make soak",
    "docs": "make docs",
    "package": "make packages",
    "setup": "make lock",
}
"""What an extra is for; one that is not named here is shown by its name."""


def look() -> Iterator[Finding]:
    """Python, the required packages one by one where one is not in its range, and the extras."""
    about = metadata.metadata(PACKAGE)
    yield python(platform.python_version(), about["Requires-Python"] or ">=3.11")
    yield Finding(SECTION, PACKAGE, f"{about['Version']}, used with {sys.executable}")
    required = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    yield from core([r for r in required if applies(r, "")])
    for extra in about.get_all("Provides-Extra") or ():
        yield from optional(extra, [r for r in required if applies(r, extra) and not applies(r, "")])


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement counts on this machine, for one extra or for none (empty)."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def python(version: str, supported: str) -> Finding:
    """The running Python against the supported ones."""
    if SpecifierSet(supported).contains(version, prereleases=True):
        return Finding(SECTION, "Python", f"{version} ({platform.python_implementation()}), supported: {supported}")
    mend = "make clean && make setup PYTHON=python3.11"
    return Finding(SECTION, "Python", f"{version}, supported: {supported}", "wrong", mend=mend)


def core(required: Iterable[Requirement]) -> Iterator[Finding]:
    """A line for each required package that is not in its range, and one for the others."""
    required = list(required)
    bad = [(r, why) for r in required if (why := out_of_range(r))]
    for requirement, why in bad:
        mend = f"python -m pip install '{requirement.name}{requirement.specifier}'"
        yield Finding(SECTION, requirement.name, why, "wrong", mend=mend)
    yield Finding(SECTION, "required packages", f"{len(required) - len(bad)} of {len(required)} in their ranges")


def optional(extra: str, required: Iterable[Requirement]) -> Iterator[Finding]:
    """One line for an extra."""
    bad = [why for r in required if r.name != PACKAGE and (why := out_of_range(r))]
    if not bad:
        yield Finding(SECTION, f"extra {extra}", "installed")
        return
    mend = f"python -m pip install '{PACKAGE}[{extra}]', in a checkout: '.[{extra}]'"
    yield Finding(SECTION, f"extra {extra}", "; ".join(bad), "missing", EXTRAS.get(extra, extra), mend)


def out_of_range(requirement: Requirement) -> str:
    """Why a package does not do; empty where it does."""
    try:
        have = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed, needed: {requirement.specifier or 'any'}"
    if requirement.specifier.contains(have, prereleases=True):
        return ""
    return f"{requirement.name} {have} is installed, needed: {requirement.specifier}"
