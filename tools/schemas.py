"""Writes the JSON schemas beside `hil/schemas`, from the models; after a change of a key or of its text.

Usage: python tools/schemas.py
"""

from __future__ import annotations

from pathlib import Path

import hil.schemas


def main() -> None:
    """One file a kind."""
    folder = Path(hil.schemas.__file__).parent
    for kind in hil.schemas.KINDS:
        (folder / f"{kind}.schema.json").write_text(hil.schemas.text_of(kind), "utf-8")
        print(f"written: hil/schemas/{kind}.schema.json")


if __name__ == "__main__":
    main()
