"""IDX files, the format of MNIST and its relatives (`http://yann.lecun.com/exdb/mnist`), plain or gzip.

Two zero bytes, one byte element type (0x08: unsigned byte), one byte number of dimensions, each dimension as a
big-endian 32-bit count, then the elements in row-major order.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hil.data import packed
from hil.data.dataset import DataError
from hil.data.found import begin_of, what_is

_UNSIGNED_BYTE = 0x08


def read(path: Path, dimensions: int) -> Tensor:
    """Reads one file.

    Args:
        path: The file, packed with gzip or not, whatever its name says.
        dimensions: Expected number of dimensions.

    Returns:
        uint8 tensor of the shape the file states.

    Raises:
        DataError: unreadable, not IDX, other type or dimensions, or a size that does not fit the header.
    """
    header = 4 + 4 * dimensions
    content = _bytes(path, header, dimensions)
    if len(content) < 4:
        raise DataError(f"{path}: {len(content)} bytes, too short for an IDX header.{what_is(begin_of(path))}")
    zeros, kind, count = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind != _UNSIGNED_BYTE or count != dimensions:
        expected = f"00 00 08 {dimensions:02x}"
        raise DataError(
            f"{path}: not the expected IDX file: starts with {content[:4].hex(' ')}, expected {expected}."
            + what_is(begin_of(path))
        )
    if len(content) < header:
        raise DataError(f"{path}: cut off within its IDX header, {len(content)} of {header} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        more = " or more" if len(content) - header > math.prod(shape) else ""
        raise DataError(
            f"{path}: header says {' x '.join(map(str, shape))} = {math.prod(shape)} bytes, "
            f"the file has {len(content) - header}{more}: cut off or damaged"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _bytes(path: Path, header: int, dimensions: int) -> bytes:
    """As much of the file as its header says, and one byte more."""

    def size(begin: bytes) -> int:
        ours = len(begin) == header and begin[:4] == bytes((0, 0, _UNSIGNED_BYTE, dimensions))
        return math.prod(struct.unpack(f">{dimensions}I", begin[4:])) if ours else 0

    try:
        return packed.read_bytes(path, header, size)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
