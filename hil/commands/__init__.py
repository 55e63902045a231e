"""Commands of `hil`: the module `hil/commands/NAME.py` is `hil NAME`, its function `command` (or its typer `app`).

They import torch and the rest of the package inside the function, so that `hil --help` answers at once.
"""

import sys
from pathlib import Path

import typer


def to_be_written(path: Path | None) -> Path | None:
    """Callback of options that name a file: one that cannot be written is refused before anything is measured.

    Raises:
        typer.BadParameter: it is a folder, or its folder is not there.
    """
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; the name of a file is expected")
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"cannot write {path}: there is no folder {path.parent}; make it, or name another")
    return path


def complain(error: Exception) -> None:
    """Says what went wrong, and what was noted with it, on the error stream."""
    print("\n".join([f"hil: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr, flush=True)
