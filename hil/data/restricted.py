"""Pickles as CIFAR and ImageNet32 are distributed, read without handing anything of theirs to a foreign object.

A pickle is a program. Numpy's own `__setstate__` believes what it is given: an object dtype over raw bytes makes
pointers of them. So nothing of numpy is built here while the program runs. The names it may ask for give inert notes of
a type or an array; those are checked, numeric and of the size they state, before an array is made of their bytes.
The pure Python unpickler is used: the one in C reserves memory for any number a file names.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hil.data.dataset import DataError
from hil.data.found import begin_of, what_is

MOST_BYTES = 1 << 30
MOST_DIMENSIONS = 8
MOST_READS = 2_000_000
_NUMERIC = re.compile(r"[<>=|]?(?:b1|\?|[iu][1248]|f[248])")
_ORDERS = ("<", ">", "|", "=")


class _Refused(Exception):
    """What the program asks for is not given."""


def read(path: Path) -> dict[str, Any]:
    """The dictionary a file holds, keys as text; arrays are numeric.

    Raises:
        DataError: unreadable, too large, cut off, not a dictionary, or it names anything but numeric numpy arrays.
    """
    try:
        with path.open("rb") as file:
            content = file.read(min(MOST_BYTES, os.fstat(file.fileno()).st_size) + 1)
        if len(content) > MOST_BYTES:
            raise _Refused(f"larger than {MOST_BYTES >> 20} MiB")
        found = _Reader(_Counted(content), encoding="bytes").load()
        if not isinstance(found, dict):
            raise _Refused(f"holds a {type(found).__name__}, expected a dictionary of arrays")
        return {_text(key): _array(value) for key, value in found.items()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    except _Refused as error:
        raise DataError(f"{path}: not read: {error}{_other(path)}") from error
    except Exception as error:  # the pickle machine raises nearly everything on damaged input
        why = str(error) or type(error).__name__
        raise DataError(f"{path}: not a pickled data file: {why}{_other(path)}") from error


def _other(path: Path) -> str:
    """What the file is, where it is no pickle at all."""
    begin = begin_of(path)
    kind = "" if begin[:1] == b"\x80" else what_is(begin)
    return f".{kind}" if kind else ""


@dataclass
class _Type:
    """A numeric type, as a pickle notes it."""

    code: str = ""

    @classmethod
    def of(cls, code: object, *_: object) -> _Type:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not (isinstance(text, str) and _NUMERIC.fullmatch(text)):
            raise _Refused(f"an array of type {text!r:.40}; only numeric ones are read, nothing was run")
        return cls(text)

    def build(self, state: Any) -> None:
        """Takes the byte order; a type with parts is none of ours."""
        _, order, subtype, names, fields, *_ = state
        if order not in _ORDERS or not (subtype is names is fields is None):
            raise _Refused("an array of a type with parts; only numeric ones are read, nothing was run")
        self.code = f"{order}{self.code.lstrip('<>=|')}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type itself."""
        return np.dtype(self.code)


@dataclass
class _Array:
    """An array, as a pickle notes it."""

    kind: _Type | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    content: bytes | bytearray | str = b""
    axes: object = None

    def build(self, state: Any) -> None:
        """Takes type, shape and bytes."""
        _, self.shape, self.kind, self.fortran, self.content = state

    def array(self) -> np.ndarray[Any, Any]:
        """The array, where bytes and shape fit."""
        shape, raw = self.shape, self.content
        if isinstance(raw, str):  # protocols 0 and 1 have bytes as text
            raw = raw.encode("latin1")
        known = isinstance(self.kind, _Type) and isinstance(shape, tuple) and isinstance(raw, bytes | bytearray)
        if not known or len(shape) > MOST_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
            raise _Refused("an array that is no numbers; only numeric ones are read, nothing was run")
        assert self.kind is not None  # noqa: S101 - for the type checker
        count = 1
        for n in shape:
            count *= n
        if count * self.kind.dtype.itemsize != len(raw):
            raise _Refused(f"an array of shape {shape} has {len(raw)} bytes")
        flat = np.frombuffer(raw, self.kind.dtype)
        whole = flat.reshape(shape, order="F" if self.fortran else "C")
        if isinstance(self.axes, tuple) and self.axes:
            if sorted(axis for axis in self.axes if type(axis) is int) != list(range(len(shape))):
                raise _Refused("an array whose axes are none of its own")
            whole = whole.transpose(self.axes)
        return whole.copy()  # of bytes it could not be written


def _empty_array(kind: object, shape: object, code: object) -> _Array:
    """`numpy.core.multiarray._reconstruct`."""
    if kind is not _KIND:
        raise _Refused("an array of another kind; only numpy arrays are read, nothing was run")
    return _Array()


def _of_buffer(content: bytes, kind: _Type, shape: tuple[int, ...], order: str, axes: object = None) -> _Array:
    """`numpy.core.numeric._frombuffer`, of protocol 5; with axes the array was written in the order of its memory."""
    return _Array(kind, shape, order == "F", content, axes)


def _scalar(kind: _Type, content: bytes | str) -> int | float:
    """`numpy.core.multiarray.scalar`: labels that are numpy's integers."""
    return _Array(kind, (), False, content).array().item()


def _latin1(text: str, encoding: str) -> bytes:
    """What Python 3 writes for bytes in protocol 2."""
    if encoding != "latin1":
        raise _Refused(f"bytes in {encoding!r:.40}, expected latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Empty bytes, as protocols 0 to 2 write them."""
    return b""


_KIND = ("numpy", "ndarray")
_CALLED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): _Type.of,
    ("_codecs", "encode"): _latin1,
    **{(module, "bytes"): _no_bytes for module in ("__builtin__", "builtins")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _of_buffer for core in ("core", "_core")},
}
_Machine: Any = pickle._Unpickler


class _Counted(io.BytesIO):
    """Gives as many pieces as a file of arrays and labels may have; every instruction takes one at least."""

    left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes of one instruction."""
        self.left -= 1
        if self.left < 0:
            raise _Refused(f"more than {MOST_READS} instructions, which no file of arrays has")
        return super().read(size)


class _Reader(_Machine):
    """The pickle machine without the instructions that hash, call or build what we did not make."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Machine.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Only what an array is made of, and that as an inert note."""
        if (module, name) == _KIND:
            return _KIND
        if (module, name) not in _CALLED:
            raise _Refused(f"it asks for {module:.80}.{name:.80}; only numpy arrays are read, nothing was run")
        return _CALLED[module, name]

    def reduce(self) -> None:
        """Calls one of our functions."""
        arguments = self.stack.pop()
        called = self.stack[-1]
        if called not in _CALLED.values():
            raise _Refused("it calls what is no part of an array; nothing was run")
        self.stack[-1] = called(*arguments)

    def build(self) -> None:
        """Gives one of our notes its state."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Type | _Array):
            raise _Refused("it gives a state to what is no part of an array; nothing was run")
        self.stack[-1].build(state)

    def set_item(self) -> None:
        """One key of a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self._put({key: value} if isinstance(key, str | bytes | int) else None)

    def set_items(self) -> None:
        """Several keys of a dictionary."""
        items = self.pop_mark()
        plain = all(isinstance(key, str | bytes | int) for key in items[::2])
        self._put(dict(zip(items[::2], items[1::2], strict=True)) if plain else None)

    def dictionary(self) -> None:
        """A dictionary with its keys, as protocol 0 writes an empty one."""
        items = self.pop_mark()
        if items:
            raise _Refused("an instruction that no pickle of arrays has; nothing was run")
        self.append({})

    def frame(self) -> None:
        """Frames only say how much to read ahead."""
        self.read(8)

    def _put(self, items: dict[Any, Any] | None) -> None:
        if items is None or type(self.stack[-1]) is not dict:
            raise _Refused("a dictionary with keys that are no text; hashing those may never end")
        self.stack[-1].update(items)


def _forbidden(self: _Reader) -> None:
    raise _Refused("an instruction that no pickle of arrays has; nothing was run")


_Reader.dispatch |= {
    pickle.FRAME[0]: _Reader.frame,
    pickle.REDUCE[0]: _Reader.reduce,
    pickle.BUILD[0]: _Reader.build,
    pickle.DICT[0]: _Reader.dictionary,
    pickle.SETITEM[0]: _Reader.set_item,
    pickle.SETITEMS[0]: _Reader.set_items,
    **{
        getattr(pickle, name)[0]: _forbidden
        for name in (
            *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
            *("FROZENSET", "EMPTY_SET", "ADDITEMS", "NEXT_BUFFER", "READONLY_BUFFER"),
        )
    },
}


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _array(value: object) -> object:
    return value.array() if isinstance(value, _Array) else value
