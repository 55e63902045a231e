"""Wines that the package carries: 178 samples of thirteen measurements from three growers, no download."""

from __future__ import annotations

from pathlib import Path

from hil.data.bundled import bundled, measurements
from hil.data.dataset import Dataset

TEST_SAMPLES = 54


def load(root: Path) -> Dataset:
    """Wine, 124 for training and 54 for testing by a fixed shuffle; `root` is not used.

    A sample is (14, 1, 1): the thirteen measurements and a constant, see `measurements`.
    """
    return measurements("wine", bundled("wine.csv", header_lines=1), TEST_SAMPLES)
