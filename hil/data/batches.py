"""Batches in an order that is a function of (seed, epoch), so that any position can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import generator
from hil.data.dataset import Augmentation, Split

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batches:
    """Shuffled training batches.

    The order of epoch `e` comes from a generator seeded by (seed, "data order", e), the augmentation of its batch `b`
    from (seed, "augmentation", e, b): the position (epoch, batch) is the whole state.

    Attributes:
        split: The samples.
        size: Samples a batch.
        seed: The run's seed.
        drop_last: Leave out a last, smaller batch.
        augment: Applied to every batch in its raw type.
    """

    split: Split
    size: int
    seed: int
    drop_last: bool = False
    augment: Augmentation | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.split) // self.size if self.drop_last else -(-len(self.split) // self.size)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Raw images and labels of one epoch, from batch `start` on."""
        order = torch.randperm(len(self.split), generator=generator(_CPU, self.seed, "data order", number))
        for index in range(start, len(self)):
            chosen = order[index * self.size : (index + 1) * self.size]
            images = self.split.images[chosen]
            if self.augment is not None:
                images = self.augment(images, generator(_CPU, self.seed, "augmentation", number, index))
            yield images, self.split.labels[chosen]


def in_order(split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Raw images and labels, first to last, for testing."""
    yield from zip(split.images.split(size), split.labels.split(size), strict=True)
