"""What a data set is to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from emulator.streams import generator
from hil.experiments.sections import Data
from hil.learning.loss import Targets

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""A training batch (batch, channels, height, width) in its raw type to its augmented form, on the batch's device."""

Source = Callable[[Path], "Dataset"]
"""Reads a data set below a data root."""


class DataError(ValueError):
    """Data that cannot be used; the message says which file, what is wrong and what to do."""


def label_numbers(path: Path, labels: object) -> Tensor:
    """Labels as a file holds them, a list of whole numbers or an array, as (n,) int64.

    Raises:
        DataError: they are anything else.
    """
    if isinstance(labels, list | tuple):
        if all(_is_whole(label) for label in labels):
            return torch.tensor([int(label) for label in labels], dtype=torch.int64)
        first = next(label for label in labels if not _is_whole(label))
        shown = f"{first!r:.40}" if isinstance(first, int | float | str | bytes) else f"a {type(first).__name__}"
        raise DataError(f"{path}: a label is {shown}; whole numbers are expected, one a picture")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iuf":
        flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if flat.ndim == 1 and (flat.dtype.kind != "f" or bool((flat == np.round(flat)).all())):
            return torch.from_numpy(flat.astype(np.int64))
        raise DataError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype}; whole numbers are expected, one a picture"
            + (" (numpy.argmax(labels, 1) makes them of one column a class)" if labels.ndim == 2 else "")
        )
    kind = "are missing" if labels is None else f"are a {type(labels).__name__}"
    raise DataError(f"{path}: labels {kind}; a list or an array of whole numbers is expected, one a picture")


def _is_whole(label: object) -> bool:
    return type(label) in (int, float) and abs(label) < 2**31 and label == int(label)  # type: ignore[call-overload, arg-type]


class Samples(Protocol):
    """Samples in memory (`Split`) or in files read one at a time (`hil.data.shards`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        ...

    def __len__(self) -> int: ...

    def pieces(self, order: torch.Generator) -> Iterator[tuple[Tensor, Callable[[], Split]]]:
        """All samples once, in random order: indices into a piece, and what reads it, piece after piece."""
        ...

    def first(self, count: int | None, name: str) -> Samples:
        """The first `count` samples of a fixed shuffle; the same ones for every seed."""
        ...

    def fingerprint(self) -> Iterator[bytes | memoryview]:
        """What a digest of the samples is made of."""
        ...


@dataclass(frozen=True)
class Split:
    """Images (n, channels, height, width) in their raw type (uint8 mostly) and labels (n,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.images.shape[1:])

    def pieces(self, order: torch.Generator) -> Iterator[tuple[Tensor, Callable[[], Split]]]:
        """One piece, shuffled."""
        yield torch.randperm(len(self), generator=order), lambda: self

    def first(self, count: int | None, name: str) -> Split:
        """The first `count` samples of a fixed shuffle; the same ones for every seed."""
        if count is None:
            return self
        if count > len(self):
            raise DataError(f"data.{name}_samples: {count} asked for, there are {len(self)}")
        chosen = torch.randperm(len(self), generator=generator(torch.device("cpu"), "subset", name))[:count]
        return Split(self.images[chosen], self.labels[chosen])

    def fingerprint(self) -> Iterator[memoryview]:
        """All bytes."""
        for tensor in (self.images, self.labels):
            yield tensor.contiguous().numpy().data


def _apart(train: Samples, share: float) -> tuple[Split, Split]:
    """A share of the training samples, by a fixed shuffle, is not trained with."""
    if not isinstance(train, Split):
        raise DataError("data.validation: this data set is read file by file; it cannot be split")
    count = round(len(train) * share)
    if not 0 < count < len(train):
        raise DataError(f"data.validation: {share} of {len(train)} samples leaves nothing on one side")
    order = torch.randperm(len(train), generator=generator(torch.device("cpu"), "validation split"))
    held, kept = order[:count], order[count:]
    return Split(train.images[kept], train.labels[kept]), Split(train.images[held], train.labels[held])


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes:
        name: Its source.
        train: Training samples.
        test: Test samples.
        classes: Number of classes.
        full_scale: Raw value that becomes 1.0.
        mean: Per-channel mean of the scaled values, subtracted.
        std: Per-channel divisor after that.
        augment: Training augmentation, if any.
        targets: What labels are: one of `classes`, several `labels` of 0 and 1, or `values`; of these two `classes`
            counts the outputs.
        validation: Samples set apart from the training ones, where an experiment asks for them.
    """

    name: str
    train: Samples
    test: Split
    classes: int
    full_scale: float
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    augment: Augmentation | None = None
    targets: Targets = "classes"
    validation: Split | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.train.shape

    def limited(self, spec: Data) -> Dataset:
        """As much of it as an experiment asks for."""
        train, validation = self.train.first(spec.train_samples, "train"), None
        if spec.validation:
            train, validation = _apart(train, spec.validation)
        return replace(
            self,
            train=train,
            validation=validation,
            test=self.test.first(spec.test_samples, "test"),
            augment=self.augment if spec.augment else None,
        )

    def prepare(self, images: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Model input: scaled, centred, on the device."""
        values = images.to(device).to(dtype) / self.full_scale
        mean, std = (values.new_tensor(v).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return (values - mean) / std
