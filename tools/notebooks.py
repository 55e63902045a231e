"""Runs the notebooks and writes them as `.ipynb`, with what they printed and drew.

Usage: python tools/notebooks.py [NAME ...]; all of `docs/notebooks` where none is named.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "docs" / "notebooks"
TARGET = ROOT / "build" / "notebooks"
LIMIT_S = 240


def main() -> None:
    """Stops at the first cell that raises."""
    names = sys.argv[1:] or sorted(path.stem for path in SOURCES.glob("*.md") if path.stem != "index")
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in names:
        begin = time.monotonic()
        book = jupytext.read(SOURCES / f"{name}.md")
        NotebookClient(
            book, timeout=LIMIT_S, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
        ).execute()
        nbformat.write(book, TARGET / f"{name}.ipynb")
        print(f"{time.monotonic() - begin:5.1f} s  build/notebooks/{name}.ipynb", flush=True)


if __name__ == "__main__":
    main()
