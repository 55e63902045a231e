"""Randomness of a chip: one stream a source, and its whole state is a counter.

Every transaction draws from a fresh generator seeded by (chip seed, source, transaction number). The same sequence of
transactions therefore meets the same noise through every door, and a checkpoint needs the counters only.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def generator(device: torch.device, *key: object) -> torch.Generator:
    """A generator seeded by a key, e.g. `(seed, "programming", 3)`."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)


def static_normal(shape: tuple[int, ...], device: torch.device, *key: object) -> Tensor:
    """Standard normals that belong to the chip for life, float64 (mismatch); the same for the same key."""
    return torch.randn(shape, generator=generator(torch.device("cpu"), *key), dtype=torch.float64).to(device)


def static_uniform(shape: tuple[int, ...], device: torch.device, *key: object) -> Tensor:
    """Uniform numbers in [0, 1) that belong to the chip for life, float64 (which cells are defective).

    A number belongs to its place, whatever the shape: a block that is placed with a row more has the same cells and
    one row more of them. A chain of SplitMix64 steps (Steele, Lea and Flood, OOPSLA 2014), one an axis, from the key.
    """
    z = np.array(generator(torch.device("cpu"), *key).initial_seed(), np.uint64)
    for size in shape:
        z = _split_mix(z[..., None] + np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return torch.from_numpy(np.asarray((z >> np.uint64(11)) * 2.0**-53)).to(device)


def _split_mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


class Streams:
    """Counters of a chip's noise sources.

    Args:
        seed: The chip's seed.
        device: Where noise is drawn.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device
        self.counters: Counter[str] = Counter()

    def next(self, source: str) -> torch.Generator:
        """The generator of the next transaction of a source."""
        self.counters[source] += 1
        return generator(self.device, self.seed, source, self.counters[source])
