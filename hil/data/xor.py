"""Exclusive or: the smallest task that no linear network does, and the first that circuits that learn are shown on."""

from __future__ import annotations

from pathlib import Path

import torch

from hil.data.dataset import Dataset, Split

REPEATS = 64
"""How often a pass over the training samples shows each of the four patterns."""


def load(root: Path) -> Dataset:
    """The four patterns, `REPEATS` times each for training and once for testing; `root` is not used.

    A sample is (3, 1, 1): two inputs of -1 or 1 and a constant 1, which stands in for biases where a network has none.
    """
    patterns = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0]))
    labels = (patterns[:, 0] != patterns[:, 1]).long()
    samples = torch.cat([patterns, torch.ones(4, 1)], 1).view(4, 3, 1, 1)
    return Dataset(
        name="xor",
        train=Split(samples.repeat(REPEATS, 1, 1, 1), labels.repeat(REPEATS)),
        test=Split(samples, labels),
        classes=2,
        full_scale=1.0,
    )
