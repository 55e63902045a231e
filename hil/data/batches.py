"""Batches in an order that is a function of (seed, epoch), so that any position can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import generator
from hil.data.dataset import Augmentation, Samples, Split

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batches:
    """Shuffled training batches.

    The order of epoch `e` comes from a generator seeded by (seed, "data order", e), the augmentation of its batch `b`
    from (seed, "augmentation", e, b): the position (epoch, batch) is the whole state.

    Attributes:
        split: The samples.
        size: Samples a batch, of all ranks together.
        seed: The run's seed.
        drop_last: Leave out a last, smaller batch.
        augment: Applied to every batch in its raw type.
        device: Where batches are augmented and end up.
        rank: Which part of each batch is this process's.
        ranks: Parts of a batch; together they are the batch of a single process.
    """

    split: Samples
    size: int
    seed: int
    drop_last: bool = False
    augment: Augmentation | None = None
    device: torch.device = _CPU
    rank: int = 0
    ranks: int = 1

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.split) // self.size if self.drop_last else -(-len(self.split) // self.size)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Raw images and labels of one epoch, from batch `start` on."""
        whole = _joined(self._pieces(number, start * self.size), self.size)
        for index, (images, labels) in zip(range(start, len(self)), whole, strict=False):
            images = images.to(self.device, non_blocking=True)
            if self.augment is not None:
                # draws for the whole batch, so that parts of it see what a single process would
                images = self.augment(images, generator(_CPU, self.seed, "augmentation", number, index))
            mine = slice(*(len(labels) * n // self.ranks for n in (self.rank, self.rank + 1)))
            yield images[mine], labels[mine]

    def _pieces(self, number: int, skip: int) -> Iterator[tuple[Tensor, Split]]:
        order = generator(_CPU, self.seed, "data order", number)
        for chosen, read in self.split.pieces(order):
            if skip < len(chosen):
                yield chosen[skip:], read()
            skip = max(0, skip - len(chosen))


def _joined(pieces: Iterator[tuple[Tensor, Split]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of `size`, some of them of samples of two pieces; the last one may be smaller."""
    rest: tuple[Tensor, Tensor] | None = None
    for chosen, piece in pieces:
        at = 0
        if rest is not None:
            at = size - len(rest[1])
            taken = chosen[:at]
            rest = torch.cat([rest[0], piece.images[taken]]), torch.cat([rest[1], piece.labels[taken]])
            if len(rest[1]) < size:
                continue
            yield rest
            rest = None
        for part in chosen[at:].split(size):
            batch = piece.images[part], piece.labels[part]
            if len(part) == size:
                yield batch
            else:
                rest = batch
        del piece  # before the next one is decoded
    if rest is not None:
        yield rest


def in_order(split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Raw images and labels, first to last, for testing."""
    yield from zip(split.images.split(size), split.labels.split(size), strict=True)
