"""Arrays out of `.npz` files and bytes out of `.gz` files, numeric and bounded before memory is taken for them."""

from __future__ import annotations

import gzip
import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

MOST_BYTES = 1 << 30
CHUNK = 1 << 20
GZIP = b"\x1f\x8b"


def read_npz(
    path: Path, names: Collection[str] | None = None, most: int = MOST_BYTES
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an `.npz` file, all or those that have one of some names.

    Raises:
        OSError: it cannot be opened. ValueError: it is no archive of numeric arrays, or they are too large.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                wanted = {name: info for name, info in held.items() if names is None or name in names}
                if sum(info.file_size for info in wanted.values()) > most:
                    raise ValueError(f"its arrays are larger than {most >> 20} MiB")
                return {name: _member(archive, info) for name, info in wanted.items()}
        except (ValueError, OSError):
            raise
        except Exception as error:  # zipfile and zlib raise nearly everything on damaged input
            raise ValueError(f"no archive of arrays: {str(error) or type(error).__name__}") from error


def read_bytes(path: Path, header: int, size_of: Any, most: int = MOST_BYTES) -> bytes:
    """A file, unpacked where it is packed, as far as its header says it goes, and one byte more.

    Browsers unpack without changing the name, and some downloads pack without: what the file begins with counts.

    Args:
        path: The file.
        header: Bytes of its header.
        size_of: Gives the bytes behind the header from the header; may raise.
        most: Larger ones are refused.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read. ValueError: it is too large.
    """
    with path.open("rb") as file:
        is_packed = file.read(2) == GZIP
    with gzip.open(path) if is_packed else path.open("rb") as file:
        begin = _take(file, header)
        wanted = size_of(begin)
        if wanted > most:
            raise ValueError(f"its header asks for {wanted} bytes, more than {most >> 20} MiB")
        return begin + _take(file, wanted + 1)


def _take(file: Any, count: int) -> bytes:
    """Up to so many bytes; memory is taken for those that are there."""
    parts = []
    while count > 0 and (part := file.read(min(count, CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member)  # type: ignore[arg-type]
        if dtype.kind not in "biuf" or dtype.hasobject or dtype.subdtype is not None:
            raise ValueError(
                f"{info.filename} holds {dtype}; only numbers are read: "
                "words as labels are made numbers by numpy.unique(labels, return_inverse=True)[1]"
            )
        size = math.prod(shape) * dtype.itemsize
        if size > info.file_size:
            raise ValueError(f"{info.filename}: shape {shape} of {dtype} does not fit its {info.file_size} bytes")
        content = bytearray(size)
        view, at = memoryview(content), 0
        while at < size and (got := member.readinto(view[at : at + CHUNK])):  # type: ignore[attr-defined]
            at += got
        if at != size:
            raise ValueError(f"{info.filename} is cut off")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _header(member: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(member)
    reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if reader is None:
        raise ValueError(f"version {version} of npy is not read")
    return reader(member)
