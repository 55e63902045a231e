"""Iris flowers bundled with scikit-learn: 150 samples of four measurements, no download."""

from __future__ import annotations

from pathlib import Path

import torch

from emulator.streams import generator
from hil.data.bundled import bundled
from hil.data.dataset import Dataset, Split

TEST_SAMPLES = 45


def load(root: Path) -> Dataset:
    """Iris, 105 for training and 45 for testing by a fixed shuffle; `root` is not used.

    A sample is (5, 1, 1): the four measurements, each scaled to -1 .. 1 over its range, and a constant 1, which
    stands in for the biases that a passive network has no current sources for.
    """
    table = bundled("iris.csv", header_lines=1)
    values = torch.from_numpy(table[:, :4]).float()
    low, high = values.amin(0), values.amax(0)
    scaled = torch.cat([2 * (values - low) / (high - low) - 1, torch.ones(len(values), 1)], 1).view(-1, 5, 1, 1)
    labels = torch.from_numpy(table[:, 4]).long()
    order = torch.randperm(len(labels), generator=generator(torch.device("cpu"), "iris split"))
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    return Dataset(
        name="iris",
        train=Split(scaled[train], labels[train]),
        test=Split(scaled[test], labels[test]),
        classes=3,
        full_scale=1.0,
    )
