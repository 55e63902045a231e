"""What a file is that is not what was expected: web pages, placeholders, archives that were not unpacked.

And pictures and labels as people have them after the usual conversions, brought into one form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.data.dataset import DataError

PIXELS, SIDE, COLOURS = 3072, 32, 3
_SIGNS = (
    (b"\x1f\x8b", "gzip data; unpack it (`gunzip`), or leave its name ending in .gz"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"BZh", "bzip2 data; unpack it"),
    (b"\xfd7zXZ", "xz data; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"version https://git-lfs", "a placeholder of Git LFS; `git lfs pull` gets the file itself"),
    (b"/annex/", "a placeholder of git-annex; `git annex get` gets the file itself"),
    (b"\x93NUMPY", "a .npy file; this reader takes .npz, or the files as they are distributed"),
    (b"\x89HDF", "an HDF5 file; this reader takes the files as they are distributed"),
    (b"\x80", "a pickle; the name of the data set, or the file, is another one"),
)


def what_is(begin: bytes) -> str:
    """What a file that begins like this is, as a sentence with a leading blank; empty where nobody knows."""
    if not begin:
        return " It is empty: copy or download it again."
    text = begin[:256].lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return " It is a web page: the download was answered with one; get the file again."
    found = next((said for sign, said in _SIGNS if begin.startswith(sign)), "")
    return f" It is {found}." if found else ""


def begin_of(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError:
        return b""


def planes(path: Path, found: object) -> NDArray[np.uint8]:
    """Pictures of 32 x 32 in three colours as (n, 3072) bytes, planes R, G, B.

    Taken are (n, 3072), (n, 3, 32, 32) and (n, 32, 32, 3), of bytes or of other whole numbers from 0 to 255.

    Raises:
        DataError: anything else; the message says what was found and what to do.
    """
    wanted = f"expected (n, {PIXELS}), (n, 3, 32, 32) or (n, 32, 32, 3) whole numbers from 0 to 255"
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path}: `data` is {_kind(found)}; {wanted}: convert it with numpy.asarray(..., 'uint8')")
    if found.dtype.kind not in "iu":
        low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
        todo = "multiply by 255 and round" if found.dtype.kind == "f" and high <= 1.0 else "convert it to uint8"
        raise DataError(f"{path}: `data` is {found.dtype} from {low:g} to {high:g}; {wanted}: {todo}")
    if found.dtype != np.uint8 and found.size and not 0 <= int(found.min()) <= int(found.max()) <= 255:
        raise DataError(f"{path}: `data` goes from {found.min()} to {found.max()}; {wanted}")
    if found.shape[1:] == (SIDE, SIDE, COLOURS):
        found = found.transpose(0, 3, 1, 2)
    if found.shape[1:] not in ((PIXELS,), (COLOURS, SIDE, SIDE)):
        raise DataError(f"{path}: `data` has the shape {found.shape}; {wanted}")
    return np.ascontiguousarray(found, np.uint8).reshape(len(found), PIXELS)


def folder_of(root: Path, names: tuple[str, ...], first: str) -> Path | None:
    """The folder that holds a file: below the root, the root itself, or one too deep as some archivers make it."""
    for name in names:
        for folder in (root / name, root / name / Path(name).name, root):
            if (folder / first).is_file():
                return folder
    return None


def not_unpacked(root: Path, archives: tuple[str, ...]) -> str:
    """An archive that lies there and was never unpacked, as a sentence with a leading blank."""
    for name in archives:
        for path in (root / name, root / name.removesuffix(".gz")):
            if path.is_file():
                return f" {path} is there, and not unpacked: `tar xf {path.name}` in its folder."
    return ""


def _kind(found: object) -> str:
    return "missing" if found is None else f"a {type(found).__name__}"
