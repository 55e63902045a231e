"""Iris flowers that the package carries: 150 samples of four measurements, no download."""

from __future__ import annotations

from pathlib import Path

from hil.data.bundled import bundled, measurements
from hil.data.dataset import Dataset

TEST_SAMPLES = 45


def load(root: Path) -> Dataset:
    """Iris, 105 for training and 45 for testing by a fixed shuffle; `root` is not used.

    A sample is (5, 1, 1): the four measurements and a constant, see `measurements`.
    """
    return measurements("iris", bundled("iris.csv", header_lines=1), TEST_SAMPLES)
