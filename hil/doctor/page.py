"""The page for people: a section a heading, a finding a line, and below it what it is missing for and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from hil.doctor.finding import Finding

MARKS = {"ok": "  ", "note": "- ", "missing": "! ", "wrong": "X "}


def page(found: Sequence[Finding]) -> str:
    """All findings as text; the last line counts what is not in order."""
    lines: list[str] = []
    for section, findings in groupby(found, key=lambda finding: finding.section):
        lines += [section, *(line for finding in findings for line in _lines(finding)), ""]
    return "\n".join([*lines, _verdict(found)])


def _lines(finding: Finding) -> Iterator[str]:
    yield _printable(f"{MARKS[finding.verdict]}{finding.name}: {finding.value}")
    if finding.needed_for and finding.verdict != "ok":
        yield _printable(f"    for {finding.needed_for}")
    if finding.mend and finding.verdict != "ok":
        yield _printable(f"    {finding.mend}")


def _printable(text: str) -> str:
    """What a port or a folder says of itself, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _verdict(found: Sequence[Finding]) -> str:
    wrong, missing = (sum(f.verdict == kind for f in found) for kind in ("wrong", "missing"))
    if wrong:
        return f"X {wrong} not as supported: mend these first; ! {missing} missing for the commands named beside them"
    return f"everything required is there; ! {missing} missing for what is named beside them"
