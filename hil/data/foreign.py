"""Other people's data sets as ours: arrays, any indexable of (input, target), torchvision and Hugging Face objects.

Shapes and targets are found and checked: whole numbers and words are classes, rows of 0 and 1 labels, other numbers
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emulator.streams import generator
from hil.data.dataset import DataError, Dataset, Split
from hil.learning.loss import Targets

INPUTS = ("image", "img", "pixel_values", "images", "input", "inputs", "features", "x", "data")
LABELS = ("label", "labels", "fine_label", "target", "targets", "y", "class")
COLOURS = (1, 3, 4)
Pair = tuple[Any, Any]


def adapted(thing: object, name: str) -> Dataset:
    """A data set from whatever a function of somebody's own returned.

    Args:
        thing: A `Dataset` of ours, a pair (train, test), a mapping with `train` and `test`, or one to be split; each
            part an indexable of (input, target) or of dictionaries, or a pair of arrays (inputs, targets).
        name: What it is called.

    Raises:
        DataError: it is none of these, with what it is.
    """
    if isinstance(thing, Dataset):
        return thing
    if isinstance(thing, Mapping) and "train" in thing:
        other = next((key for key in ("test", "validation", "val") if key in thing), None)
        if other is not None:
            return made(name, _pair(thing["train"], name), _pair(thing[other], name))
        return split(name, _pair(thing["train"], name))
    if isinstance(thing, tuple | list) and len(thing) == 2 and not _is_array(thing[0]):
        return made(name, _pair(thing[0], name), _pair(thing[1], name))
    return split(name, _pair(thing, name))


def made(name: str, train: Pair, test: Pair, *, standardize: bool = False) -> Dataset:
    """A data set from arrays of inputs and targets.

    Raises:
        DataError: shapes or counts do not fit.
    """
    inputs, tests = _inputs(train[0], name), _inputs(test[0], name)
    if inputs.shape[1:] != tests.shape[1:]:
        shapes = f"training inputs of {tuple(inputs.shape[1:])}, test inputs of {tuple(tests.shape[1:])}"
        raise DataError(f"{name}: {shapes}")
    for what, values, given in (("training", inputs, train[1]), ("test", tests, test[1])):
        if len(values) != _count(given) or len(values) == 0:
            raise DataError(f"{name}: {len(values)} {what} inputs, {_count(given)} targets: expected as many, not none")
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise DataError(f"{name}: a {what} input is not finite")
    targets, (labels, checks), outputs = _targets(train[1], test[1], name)
    whole = inputs.dtype == torch.uint8
    mean, std = ((0.0,), (1.0,)) if not standardize else _spread(inputs)
    return Dataset(
        name, Split(inputs, labels), Split(tests, checks), outputs, 255.0 if whole else 1.0, mean, std, targets=targets
    )


def split(name: str, whole: Pair, *, standardize: bool = False) -> Dataset:
    """The same from one pair of arrays: a fifth, by a fixed shuffle, is for testing."""
    inputs, targets = np.asarray(whole[0]), np.asarray(whole[1])
    if _count(inputs) != _count(targets) or _count(inputs) < 5:
        counts = f"{_count(inputs)} inputs, {_count(targets)} targets"
        raise DataError(f"{name}: {counts}: expected as many, at least 5")
    order = torch.randperm(len(inputs), generator=generator(torch.device("cpu"), "own data split")).numpy()
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    return made(name, (inputs[train], targets[train]), (inputs[test], targets[test]), standardize=standardize)


def _pair(part: Any, name: str) -> Pair:
    """Inputs and targets of one part, as arrays."""
    if isinstance(part, tuple | list) and len(part) == 2 and all(_is_array(p) for p in part):
        return part[0], part[1]
    if not (hasattr(part, "__len__") and hasattr(part, "__getitem__")):
        raise DataError(
            f"{name}: {type(part).__name__} is no data set: expected (inputs, targets) or something with len() and "
            "[index] that gives (input, target)"
        )
    items = [part[index] for index in range(len(part))]
    if not items:
        raise DataError(f"{name}: a part without samples")
    if isinstance(items[0], Mapping):
        keys = [next((k for k in known if k in items[0]), None) for known in (INPUTS, LABELS)]
        if None in keys:
            raise DataError(f"{name}: samples have {', '.join(map(str, items[0]))}; expected e.g. image and label")
        return np.stack([_array(i[keys[0]]) for i in items]), np.stack([_array(i[keys[1]]) for i in items])
    if not (isinstance(items[0], tuple | list) and len(items[0]) == 2):
        raise DataError(f"{name}: a sample is {type(items[0]).__name__}; expected (input, target)")
    shapes = {_array(item[0]).shape for item in items}
    if len(shapes) > 1:
        raise DataError(f"{name}: inputs of {len(shapes)} shapes, {sorted(shapes)[:3]}: bring them to one")
    return np.stack([_array(x) for x, _ in items]), np.stack([_array(y) for _, y in items])


def _is_array(thing: object) -> bool:
    return isinstance(thing, np.ndarray | Tensor)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _inputs(values: Any, name: str) -> Tensor:
    """(n, channels, height, width): grey pictures get a channel, rows of features are channels of one pixel."""
    array = _array(values)
    if array.dtype.kind not in "uifb":
        raise DataError(f"{name}: inputs of type {array.dtype}; numbers are expected")
    array = array if array.dtype == np.uint8 else array.astype(np.float32)
    match array.ndim:
        case 1:
            array = array[:, None, None, None]
        case 2:
            array = array[:, :, None, None]
        case 3:
            array = array[:, None]
        case 4 if _channels_last(array.shape):
            array = array.transpose(0, 3, 1, 2)
        case 4:
            pass
        case _:
            raise DataError(f"{name}: inputs of shape {array.shape[1:]}; expected features, pictures or maps")
    return torch.from_numpy(np.ascontiguousarray(array))


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Pictures are mostly square, and have one, three or four channels."""
    _, first, second, third = shape
    return third in COLOURS and (first not in COLOURS or (first == second != third))


def _targets(train: Any, test: Any, name: str) -> tuple[Targets, tuple[Tensor, Tensor], int]:
    both = [_array(train), _array(test)]
    both = [a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in both]
    first = both[0]
    if first.ndim == 1 and (first.dtype.kind in "iubUS" or first.dtype == object):
        seen = sorted(set(first.tolist()))
        if strange := sorted(set(both[1].tolist()) - set(seen)):
            raise DataError(
                f"{name}: {strange[0]!r} is a class in the test part only; training has "
                f"{', '.join(repr(label) for label in seen[:10])}"
            )
        number = {label: index for index, label in enumerate(seen)}
        return "classes", (_numbered(both[0], number), _numbered(both[1], number)), len(seen)
    if first.ndim > 2 or first.dtype.kind not in "iufb":
        raise DataError(f"{name}: targets of shape {first.shape[1:]}, {first.dtype}; expected classes or numbers")
    rows = [torch.from_numpy(a.astype(np.float32)).reshape(len(a), -1) for a in both]
    if not all(bool(r.isfinite().all()) for r in rows):
        raise DataError(f"{name}: a target is not finite")
    marks = first.ndim == 2 and all(bool(((r == 0) | (r == 1)).all()) for r in rows)
    return "labels" if marks else "values", (rows[0], rows[1]), rows[0].shape[1]


def _count(values: Any) -> int:
    """Samples in an array; a single number has none."""
    shape = np.shape(values)
    return shape[0] if shape else 0


def _numbered(labels: np.ndarray, number: Mapping[object, int]) -> Tensor:
    return torch.tensor([number[label] for label in labels.tolist()], dtype=torch.int64)


def _spread(inputs: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    flat = inputs.transpose(0, 1).flatten(1).double()
    deviation = flat.std(1).clamp(min=1e-12)
    return tuple(flat.mean(1).tolist()), tuple(deviation.tolist())
