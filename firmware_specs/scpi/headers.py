"""Finding the command of a header, by patterns: long and short forms, optional nodes, numeric suffixes (SCPI-99, 6.2).

A pattern is written as manuals write it: capitals are the short form, brackets may be left out, `#` stands for a
numeric suffix that means something (`SOURce#:VOLTage[:LEVel]`), a digit for one that must be there (`CALCulate3`).
A node without either takes the suffix 1 and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

CACHED = 4096
_WORD = r"[*A-Za-z_]+(?:\d+[A-Za-z_]+)*"
_NODES = re.compile(rf"\[:?({_WORD})(#|\d*):?\]|:?({_WORD})(#|\d*)")
_GIVEN = re.compile(rf"({_WORD})(\d*)")


def short_form(word: str) -> str:
    """Its capitals and what is no letter: `VOLTage` is `VOLT`."""
    return "".join(letter for letter in word if not letter.islower())


class _Node(NamedTuple):
    """One node of a pattern; `suffix` is `#`, digits that must be there, or nothing; `there`: not left out."""

    long: str
    short: str
    suffix: str
    there: bool = True


class Headers:
    """Patterns, by the place they have in a list.

    Args:
        patterns: One a command.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._by_key: dict[tuple[str, ...], list[tuple[int, tuple[_Node, ...]]]] = {}
        for index, pattern in enumerate(patterns):
            for nodes in _variants(pattern):
                key = tuple(node.short[:3] for node in nodes if node.there)
                self._by_key.setdefault(key, []).append((index, nodes))
        self._found: dict[str, tuple[int, tuple[int | None, ...]]] = {}

    def find(self, header: str) -> tuple[int, tuple[int | None, ...]]:
        """Which pattern a header (no question mark, colon in front or not) is spelled by, and its `#` suffixes.

        Raises:
            LookupError: none.
            ValueError: one, but not with this numeric suffix.
        """
        found = self._found.get(header)
        if found is None:
            found = self._search(header.upper().removeprefix(":"))
            if len(self._found) < CACHED:
                self._found[header] = found
        return found

    def _search(self, header: str) -> tuple[int, tuple[int | None, ...]]:
        given = [_GIVEN.fullmatch(node) for node in header.split(":")]
        words = [(match[1], match[2][:9]) for match in given if match]
        if len(words) != len(given):
            raise LookupError(header)
        misfit = False
        for index, nodes in self._by_key.get(tuple(word[:3] for word, _ in words), ()):
            present = [node for node in nodes if node.there]
            if all(word in (node.long, node.short) for (word, _), node in zip(words, present, strict=True)):
                if all(_fits(node.suffix, digits) for (_, digits), node in zip(words, present, strict=True)):
                    return index, _suffixes(words, nodes)
                misfit = True
        if misfit:
            raise ValueError(header)
        raise LookupError(header)


def _fits(wanted: str, digits: str) -> bool:
    return wanted == "#" or int(digits or 1) == int(wanted or 1)


def _suffixes(words: list[tuple[str, str]], nodes: tuple[_Node, ...]) -> tuple[int | None, ...]:
    """One for every `#` of the pattern, None where it or its node was left out."""
    left = iter(words)
    digits = [next(left)[1] if node.there else "" for node in nodes]
    return tuple(int(text) if text else None for text, node in zip(digits, nodes, strict=True) if node.suffix == "#")


def _variants(pattern: str) -> list[tuple[_Node, ...]]:
    """Node by node, optional ones in and out."""
    choices: list[tuple[_Node, ...]] = []
    for optional, suffix_o, word, suffix_w in _NODES.findall(pattern):
        text = optional or word
        node = _Node(text.upper(), short_form(text), suffix_o or suffix_w)
        choices.append((node, node._replace(there=False)) if optional else (node,))
    return list(product(*choices))
