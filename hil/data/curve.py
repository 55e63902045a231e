"""A nonlinear regression of one input: a curve with a mean, a slope and a curvature.

Self-learning circuits are shown on such a task (Dillavou et al., PNAS 121, e2319718121, 2024, arXiv 2311.00537), where
the errors of mean, slope and curvature are seen to go in that order. The curve here is this package's own: theirs is in
volts of their circuit.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from hil.data.dataset import Dataset, Split

TRAIN_SAMPLES, TEST_SAMPLES = 256, 101
MEAN, SLOPE, HEIGHT = 0.1, 0.2, 0.4


def curve(x: Tensor) -> Tensor:
    """`MEAN + SLOPE x - HEIGHT cos(pi x)`, for x from -1 to 1: one minimum, within -0.31 .. 0.71."""
    return MEAN + SLOPE * x - HEIGHT * torch.cos(math.pi * x)


def load(root: Path) -> Dataset:
    """The curve at evenly spaced places, others for testing than for training; `root` is not used.

    A sample is (2, 1, 1): x and a constant 1, which stands in for biases where a network has none; its target is one
    value.
    """
    between = (torch.arange(TRAIN_SAMPLES) + 0.5) / TRAIN_SAMPLES * 2 - 1
    return Dataset(
        name="curve",
        train=_split(between),
        test=_split(torch.linspace(-1, 1, TEST_SAMPLES)),
        classes=1,
        full_scale=1.0,
        targets="values",
    )


def _split(x: Tensor) -> Split:
    return Split(torch.stack([x, torch.ones_like(x)], 1).view(-1, 2, 1, 1), curve(x).view(-1, 1))
