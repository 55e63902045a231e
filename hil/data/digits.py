"""Handwritten digits that the package carries: 1,797 images of 8 x 8 pixels, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from emulator.streams import generator
from hil.data.bundled import bundled
from hil.data.dataset import Dataset, Split

TEST_SAMPLES = 360


def load(root: Path) -> Dataset:
    """The digits, 1,437 for training and 360 for testing by a fixed shuffle; `root` is not used."""
    table = bundled("digits.csv.gz")
    images = torch.from_numpy(table[:, :64].astype(np.uint8).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(table[:, 64].astype(np.int64))
    order = torch.randperm(len(labels), generator=generator(torch.device("cpu"), "digits split"))
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    return Dataset(
        name="digits",
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
        classes=10,
        full_scale=16.0,
    )
