"""Pickles as CIFAR and ImageNet32 are distributed, read by an unpickler that knows numpy arrays and nothing else."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hil.data.dataset import DataError


def read(path: Path) -> dict[str, Any]:
    """The dictionary a file holds, keys as text.

    Raises:
        DataError: unreadable, cut off, not a dictionary, or it names anything but numpy arrays.
    """
    try:
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    except Exception as error:  # the pickle machine raises nearly everything on damaged input
        raise DataError(f"{path}: not a pickled data file: {error or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dictionary of arrays")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def _latin1(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes in protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r}, expected latin1")
    return text.encode("latin1")


def _empty_array(kind: object, shape: object, dtype: object) -> np.ndarray[Any, Any]:
    """NumPy's private `_reconstruct`: an array whose shape, type and content its state brings."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"an array of the kind {kind!r}, expected numpy.ndarray")
    return np.empty(0, np.int8)


_ALLOWED: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what an array is made of."""
        if (module, name) not in _ALLOWED:
            self._refuse(module, name)
        return _ALLOWED[module, name]

    @staticmethod
    def _refuse(module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only numpy arrays are read, nothing was run")
