"""Reading TOML files that anybody may have written: bounded in size and depth, one sentence for whatever is wrong."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from firmware_specs.printable import printable

MOST_BYTES = 1 << 24
MOST_DEPTH = 32
PIPE_BYTES = 1 << 20
"""Most that is read of what has no size of its own."""
MOST_PARTS = 64
"""Of a dotted key; longer ones take a TOML reader time that grows with their square."""
MOST_KEPT = 1 << 16
"""Characters of a text whose document is kept: a session reads the same few files again and again."""
_NO_KEY = re.compile(r"[^\w\-\"' \t.]+")
_BOM = "\ufeff"
MOST_SHOWN = 80
_MEANT = (
    (re.compile(r'"[^"\']*\\[^"]*"'), ": a path with backslashes stands in single quotes, 'C:\\data\\chip.toml'"),
    (
        re.compile(r"=\s*(True|False|None|TRUE|FALSE)\b"),
        ": true and false are written small, and what is not set is left out",
    ),
    (re.compile(r"=\s*[-+]?\d+,\d+\s*(#.*)?$"), ": a number has a decimal point, no comma"),
    (re.compile(r"^[\w.\"'-]+\s*:\s"), ": a key and its value have = between them"),
    (re.compile(r"=\s*[“”„‘’«]"), ": those are typographic quotes; \" or ' is meant"),
    (re.compile(r"=\s*[^\s\"'\[{\d+-][^\"']*$"), ': text stands in quotes, key = "text"'),
    (re.compile(r"=\s*\d[^\s\"'\]}]*[A-Za-z/:]"), ": text stands in quotes, and a number has no unit"),
    (re.compile(r"=\s*$"), ": a value is missing behind ="),
)


class DocumentError(ValueError):
    """A file that is no document; the message says why, and does not name it."""


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A text file, UTF-8 with or without its mark, of bounded size.

    Raises:
        OSError: it cannot be opened. DocumentError: it is too large, or no UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(min(most, max(os.fstat(file.fileno()).st_size, PIPE_BYTES)) + 1)
    if len(content) > most:
        raise DocumentError(f"larger than {most >> 20} MiB, which no file of this kind is")
    try:
        return content.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"not UTF-8 text: byte {error.start} is {content[error.start]:#04x}; save it as UTF-8"
        ) from error


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML document of bounded depth, the caller's own: texts read before are not read again, but copied.

    Raises:
        DocumentError: it is none.
    """
    return _copied((_kept if len(text) <= MOST_KEPT else _parsed)(text))


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MOST_BYTES or any(piece.count(".") > MOST_PARTS for piece in _NO_KEY.split(text)):
        raise DocumentError(f"not TOML of ours: more than {MOST_BYTES >> 20} MiB, or a key of over {MOST_PARTS} parts")
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise DocumentError(f"not TOML of ours: nested deeper than {MOST_DEPTH}") from error
    except ValueError as error:
        raise DocumentError(f"not TOML: {error}{_hint(text, str(error))}") from error
    if _deeper_than(document, MOST_DEPTH):
        raise DocumentError(f"not TOML of ours: nested deeper than {MOST_DEPTH}")
    if (number := _beyond_64_bits(document)) is not None:
        raise DocumentError(f"not TOML: {printable(str(number), 24)} is beyond whole numbers of 64 bits")
    return document


_kept = functools.lru_cache(maxsize=64)(_parsed)


def _copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in node.items()}
    return [_copied(value) for value in node] if isinstance(node, list) else node


def _hint(text: str, said: str) -> str:
    """The line that a TOML reader stopped at, and what people mean who write one like it."""
    at = re.search(r"at line (\d+), column", said)
    lines = text.splitlines()
    if at is None or not 0 < int(at[1]) <= len(lines):
        return ""
    line = lines[int(at[1]) - 1].strip()
    meant = next((words for pattern, words in _MEANT if pattern.search(line)), "")
    return f", in the line {printable(line, MOST_SHOWN)!r}{meant}"


def _deeper_than(document: object, most: int) -> bool:
    level = [document]
    for _ in range(most):
        level = [child for node in level for child in _children(node)]
    return bool(level)


def _beyond_64_bits(node: object) -> int | None:
    """A whole number that TOML has no place for, where there is one; nothing else would refuse it everywhere."""
    if isinstance(node, int):
        return node if not -(1 << 63) <= node < 1 << 63 else None
    return next((found for child in _children(node) if (found := _beyond_64_bits(child)) is not None), None)


def _children(node: object) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []
