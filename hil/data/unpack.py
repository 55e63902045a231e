"""Unpacking of archives as data sets are distributed: regular files below one folder, and nothing else.

`tarfile`'s own `data` filter came with Python 3.11.4; what is here does the same on every Python that is supported.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """Writes the regular files of an archive below a folder.

    Args:
        archive: A tar file, compressed or not, or a `.zip`.
        folder: Where its names start from.

    Returns:
        The files, in the archive's order.

    Raises:
        tarfile.TarError: damaged, or a member is a link, a device, or would lie outside the folder.
        zipfile.BadZipFile: damaged, or a member would lie outside the folder.
    """
    return _zipped(archive, folder) if archive.suffix == ".zip" else _tarred(archive, folder)


def _tarred(archive: Path, folder: Path) -> list[Path]:
    files = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise tarfile.TarError(f"{member.name!r} in it is no regular file")
            files.append(_written(content, folder, member.name, tarfile.TarError))
    return files


def _zipped(archive: Path, folder: Path) -> list[Path]:
    with zipfile.ZipFile(archive) as zipped:
        members = [member for member in zipped.infolist() if not member.is_dir()]
        return [_written(zipped.open(member), folder, member.filename, zipfile.BadZipFile) for member in members]


def _written(content: IO[bytes], folder: Path, name: str, error: type[Exception]) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise error(f"{name!r} in it leads out of its folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
    return path
