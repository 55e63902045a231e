"""Plug-in cards of the 34980A: which channels each has, by its model."""

from __future__ import annotations

import re
from functools import cache

LAYOUTS = {"4x32": (4, 32), "4x64": (4, 64), "4x128": (4, 128), "8x32": (8, 32), "8x64": (8, 64), "16x32": (16, 32)}
"""Of the 34934A, by its terminal block."""
WORDS = {
    "34921A": "40-Channel Armature Multiplexer",
    "34931A": "Dual 8x8 Armature Matrix",
    "34932A": "Dual 4x16 Armature Matrix",
    "34934A": "Quad 4x32 Reed Matrix",
    "34937A": "32-Channel Form C/A General-Purpose Switch",
    "34951A": "4-Channel Isolated D/A Converter",
}
DACS = ("34951A",)
MATRICES = ("34931A", "34932A", "34934A")


@cache
def channels(card: str) -> frozenset[str]:
    """Three digits of every channel of a card, `34934A-8x64` with its layout; none of an unknown card."""
    model, _, layout = card.partition("-")
    match model:
        case "34921A":
            return frozenset(f"{n:03d}" for n in (*range(1, 45), 911, 912, 913, 914, 921, 922, 923, 924))
        case "34931A":
            return frozenset(f"{r}{c:02d}" for r in range(1, 9) for c in range(1, 17))
        case "34932A":
            return frozenset(f"{r}{c:02d}" for r in range(1, 9) for c in range(1, 33))
        case "34934A":
            rows, columns = LAYOUTS.get(layout, (8, 64))
            share = 800 // rows
            copies = max(1, 512 // (rows * columns))
            numbers = (
                share * row + column + 100 - share + columns * copy
                for row in range(1, rows + 1)
                for column in range(1, columns + 1)
                for copy in range(copies)
            )
            return frozenset(str(n) for n in numbers)
        case "34937A":
            return frozenset(f"{n:03d}" for n in range(1, 33))
        case "34951A":
            return frozenset(f"{n:03d}" for n in range(1, 5))
    return frozenset()


def terminal(card: str) -> str:
    """What `SYSTem:MODule:TERMinal:TYPE?` answers of a card."""
    model, _, layout = card.partition("-")
    if model == "34934A":
        rows, columns = LAYOUTS.get(layout, (8, 64))
        return f"R{rows}_R{columns}"
    return re.sub("A$", "T", model)
