"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from firmware_specs import platform


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file: temporary file in the same folder, fsync, rename, fsync of the folder.

    What is no plain file, `/dev/stdout` or a pipe, is written into and stays what it is.

    Raises:
        OSError: naming the file, of a full disk as well.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101 - as any file a program writes; mkstemp makes it private
        platform.replace(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    platform.sync_folder(path.parent)


def of_one_name(path: Path) -> None:
    """Of a file with several names (a copy made of links) makes one of its own, before it is added to."""
    if path.is_file() and path.stat().st_nlink > 1:
        write_bytes(path, path.read_bytes())


def write_text(path: Path, text: str) -> None:
    """Replaces a text file."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Replaces a JSON file; NaN and infinities are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
