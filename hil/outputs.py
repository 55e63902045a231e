"""One rule for what a command writes where a person says: a file that is there is not replaced unasked.

What we made ourselves and nobody has touched may be replaced: pages, results, pictures and maps carry a mark, and texts
that people edit (bench files, datasheets, calibrations, netlists) one with a digest of the rest. Anything else wants
`--overwrite`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hil.training.run.atomic import write_json, write_text

RUNS = Path("runs")
"""Where runs are, unless another folder is named."""
MAKER = "crossbar-hil"
MADE_BY = "made_by"
"""Key of our mark in a result."""
_BEGIN = 2048
_PAGE = re.compile(rb'<meta name="?generator"? content="?crossbar-hil')
_RESULT = re.compile(rb'^\{\s*"made_by": "crossbar-hil"|^\[\s*\{\s*"values": \{')
"""A result, or the table of a study, which is a list of its points."""
_XML = re.compile(rb"<!-- made by crossbar-hil -->")
_TRACE = re.compile(rb"^ *\d+\.\d{6} [<>#!] ")
"""A dialogue that `hil conform --trace` wrote."""
_SIGNED = re.compile(rb"(\*[^\n]*\n)?(?:#|\*|/\*) made by crossbar-hil, digest ([0-9a-f]{16})[^\n]*\n")
"""The first line, or the one below the title of a netlist."""
_DRAWN = re.compile(rb"<dc:title>made by crossbar-hil</dc:title>")
"""A picture as SVG; those that are no text have the mark somewhere, and begin so:"""
_BINARY = (b"\x89PNG", b"%PDF", b"\x89HDF")
_SCHEMA = re.compile(rb'^\{\s*"\$schema": "[^"]*",\s*"\$comment": "hil schema ')
PAGE_MARK = f'<meta name="generator" content="{MAKER}">'
XML_MARK = f"<!-- made by {MAKER} -->"
MADE = f"made by {MAKER}"
PICTURE_MARKS: Mapping[str, Mapping[str, str]] = {
    ".png": {"Software": MADE}, ".svg": {"Creator": MADE}, ".pdf": {"Creator": MADE},
}  # fmt: skip
"""What matplotlib is to say of the pictures it writes, by their suffix."""


class NotReplaced(ValueError):
    """A file that is there and not ours to replace; the message says what to do."""


def refuse_replacing(path: Path, *, overwrite: bool) -> None:
    """Looks at what lies where something is to be written.

    Raises:
        NotReplaced: a file that is not empty, and none that we made as it is; not with `overwrite`.
    """
    if overwrite or not path.is_file() or not path.stat().st_size or _untouched(path):
        return
    raise NotReplaced(
        f"{path} is there, and was not made by this program as it is now: give --overwrite to replace it, or another "
        "name"
    )


def write_signed(path: Path, text: str, *, comment: str = "#", end: str = "", title: str = "") -> None:
    """Writes a text with its mark.

    Args:
        path: Where.
        text: What people may edit.
        comment: What a comment of its language begins with, TOML's and Python's unless said otherwise.
        end: What such a comment ends with.
        title: Line that has to be the first, above the mark.
    """
    said = f"{comment} {MADE}, digest {_digest((title + text).encode())}: edited, it is not replaced unasked{end}"
    write_text(path, f"{title}{said}\n{text}")


def refuse_replacing_other(path: Path, content: bytes, *, overwrite: bool) -> None:
    """`refuse_replacing` of a file that cannot carry a mark: one with the same content is ours.

    Raises:
        NotReplaced: there is a file with another content; not with `overwrite`.
    """
    if not path.is_file() or path.read_bytes() != content:
        refuse_replacing(path, overwrite=overwrite)


def write_result(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a JSON result with its mark."""
    write_json(path, {MADE_BY: MAKER, **document})


def _untouched(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(_BEGIN)
        if any(mark.search(begin) for mark in (_PAGE, _RESULT, _XML, _TRACE, _DRAWN, _SCHEMA)):
            return True
        if begin.startswith(_BINARY):
            return MADE.encode() in begin + file.read()
        signed = _SIGNED.match(begin)
        if signed is None:
            return False
        return signed[2].decode() == _digest((signed[1] or b"") + begin[signed.end() :] + file.read())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
