"""One rule for what a command writes where a person says: a file that is there is not replaced unasked.

What we made ourselves and nobody has touched may be replaced: pages and results carry a mark, and texts that people
edit (bench files, datasheets, calibrations) one with a digest of the rest. Anything else wants `--overwrite`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hil.training.run.atomic import write_json, write_text

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
_SIGNED = re.compile(rb"# made by crossbar-hil, digest ([0-9a-f]{16})[^\n]*\n")
PAGE_MARK = f'<meta name="generator" content="{MAKER}">'
XML_MARK = f"<!-- made by {MAKER} -->"


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


def write_signed(path: Path, text: str) -> None:
    """Writes a TOML or Python text with its mark."""
    write_text(path, f"# made by {MAKER}, digest {_digest(text.encode())}: edited, it is not replaced unasked\n{text}")


def write_result(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a JSON result with its mark."""
    write_json(path, {MADE_BY: MAKER, **document})


def _untouched(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(_BEGIN)
        if any(mark.search(begin) for mark in (_PAGE, _RESULT, _XML, _TRACE)):
            return True
        signed = _SIGNED.match(begin)
        return signed is not None and signed[1].decode() == _digest(begin[signed.end() :] + file.read())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
