"""Lines of text tables, plain or gzipped, and the numbers in them; what is wrong is named by file and line."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from hil.measuring.imports.readings import ImportRefused

MOST_BYTES = 2**31
"""Text of one table, unpacked; more is refused before it is taken into memory."""

MOST_NAMED = 8
"""Bad rows that a refusal names; the others are counted."""


@dataclass
class Rows:
    """What was wrong in a table, collected so that one refusal names it all.

    Attributes:
        bad: `FILE:LINE: reason` of every bad row.
        skip: Leave bad rows out instead of refusing.
    """

    skip: bool = False
    bad: list[str] = field(default_factory=list)

    def refuse(self, path: Path, line: int, reason: str) -> None:
        """Notes a bad row."""
        self.bad.append(f"{path}:{line}: {reason}")

    def done(self) -> None:
        """Ends the reading.

        Raises:
            ImportRefused: there were bad rows, and they are not to be skipped.
        """
        if self.bad and not self.skip:
            more = f"\n... and {len(self.bad) - MOST_NAMED} more" if len(self.bad) > MOST_NAMED else ""
            raise ImportRefused(
                "\n".join(self.bad[:MOST_NAMED]) + more + "\nmend the rows, or leave them out with --skip-bad-rows"
            )


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends, empty ones left out.

    Raises:
        ImportRefused: not readable, not text, or larger than `MOST_BYTES`.
    """
    taken = 0
    try:
        with _opened(path) as file:
            for number, text in enumerate(file, 1):
                taken += len(text)
                if taken > MOST_BYTES:
                    raise ImportRefused(f"{path}:{number}: more than {MOST_BYTES / 2**30:.0f} GiB of text")
                if text.strip():
                    yield number, text.rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise ImportRefused(f"{path}: not readable: {error}") from error
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{path}: not a text table: {error}") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.GzipFile(path), encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def fields(path: Path, separator: str | None = None, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows as their fields.

    Args:
        path: The table.
        separator: Between the fields; None: tab, semicolon or comma, what the first row has.
        skip: Lines of the file before the first row, empty ones among them.
    """
    for number, text in lines(path):
        if number <= skip:
            continue
        if separator is None:
            separator = next((s for s in "\t;" if s in text), ",")
        yield number, [part.strip() for part in next(csv.reader([text], delimiter=separator), [])]


def number(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is none; the message says what was there.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"a number was expected, {_shown(text)!r} is none") from None
    if not math.isfinite(value):
        raise ValueError(f"a finite number was expected, got {_shown(text)}")
    return value


def numbers(parts: Sequence[str], columns: Sequence[int]) -> list[float]:
    """The numbers in some columns of a row.

    Raises:
        ValueError: a column is missing or holds no finite number.
    """
    if max(columns) >= len(parts):
        raise ValueError(f"{max(columns) + 1} columns were expected, the row has {len(parts)}")
    return [number(parts[column]) for column in columns]


def conductance(ohm: float) -> float:
    """Siemens of a resistance.

    Raises:
        ValueError: it is not above 0.
    """
    if ohm <= 0:
        raise ValueError(f"a resistance above 0 was expected, got {ohm:g} ohm")
    return 1 / ohm


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
