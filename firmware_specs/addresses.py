"""What an address in a file may be: a file may come from a stranger, and must not choose what code runs here.

pyserial runs the handler that a URL names, and some of them write files (`spy://...?file=`) or pick classes (`alt://`);
pyvisa hands serial resources on to it. So a file may name a plain port or one of three URLs. Whoever types an address
may type any.
"""

from __future__ import annotations

import re
from pathlib import Path

URLS = ("socket", "rfc2217", "loop")
_OPTIONS = re.compile(r"(?:[A-Za-z_]\w*(?:[=&]|$)|$)")


def refuse_handlers(address: str) -> str:
    """The address of a file, where it names no handler of pyserial's.

    Raises:
        ValueError: it does; the message says what a file may name.
    """
    scheme, _, target = address.partition(":")
    handler, found, _ = target.partition("://")
    if not found:
        return address
    if scheme == "visa" or (scheme == "serial" and handler.lower() not in URLS):
        allowed = "a plain port, socket://, rfc2217:// or loop://"
        raise ValueError(f"a file may name {allowed}; any other URL is typed on the command line, with --device")
    return address


def split_options(text: str) -> tuple[str, str]:
    """What an address names, and its options behind the last `?`: a file's name may have question marks, too."""
    name, mark, query = text.rpartition("?")
    if not mark or _is_file(text) or not _OPTIONS.match(query):
        return text, ""
    return name, query


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
