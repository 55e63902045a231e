"""Samples spread over files that are read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hil.data.dataset import DataError, Split


@dataclass(frozen=True)
class Shards:
    """Training samples in several files; never more than one of them is decoded.

    An epoch visits the files in random order and shuffles within each: less mixing than a shuffle of everything.

    Attributes:
        files: One a shard.
        counts: Samples of each.
        shape: Of one image.
        read: Decodes one file.
    """

    files: tuple[Path, ...]
    counts: tuple[int, ...]
    shape: tuple[int, ...]
    read: Callable[[Path], Split]

    def __len__(self) -> int:
        return sum(self.counts)

    def pieces(self, order: torch.Generator) -> Iterator[tuple[Tensor, Callable[[], Split]]]:
        """File after file; a piece that is skipped is not read."""
        for index in torch.randperm(len(self.files), generator=order).tolist():
            chosen = torch.randperm(self.counts[index], generator=order)
            yield chosen, lambda path=self.files[index]: self.read(path)  # type: ignore[misc]

    def first(self, count: int | None, name: str) -> Shards | Split:
        """The first `count` samples, in memory; all of them stay in their files.

        Raises:
            DataError: more are asked for than there are.
        """
        if count is None:
            return self
        if count > len(self):
            raise DataError(f"data.{name}_samples: {count} asked for, there are {len(self)}")
        parts: list[Split] = []
        while (have := sum(len(p) for p in parts)) < count:
            # a copy, so that the decoded file does not stay
            whole, wanted = self.read(self.files[len(parts)]), count - have
            parts.append(Split(whole.images[:wanted].clone(), whole.labels[:wanted].clone()))
        return Split(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))

    def fingerprint(self) -> Iterator[bytes]:
        """Names, sizes and counts: reading gigabytes at every start would take minutes."""
        for path, count in zip(self.files, self.counts, strict=True):
            yield f"{path.name} {path.stat().st_size} {count}\n".encode()
