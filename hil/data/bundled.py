"""Tables that the package carries, `tables/README.md` says where they come from."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
import torch

from emulator.streams import generator
from hil.data.dataset import Dataset, Split


@cache
def bundled(name: str, header_lines: int = 0) -> np.ndarray:
    """A table of numbers that the package carries, read once.

    Args:
        name: Of the file, `digits.csv.gz` say.
        header_lines: Lines before the numbers.

    Returns:
        (rows, columns), float64; not to be written in.
    """
    with resources.as_file(resources.files("hil.data") / "tables" / name) as path:
        table = np.loadtxt(path, delimiter=",", skiprows=header_lines)
    table.setflags(write=False)
    return table


def measurements(name: str, table: np.ndarray, test_samples: int) -> Dataset:
    """A table of measurements whose last column is the class, as a data set.

    A sample is (columns, 1, 1): the measurements, each scaled to -1 .. 1 over its range, and a constant 1, which stands
    in for the biases that a passive network has no current sources for.

    Args:
        name: Of the data set; its fixed shuffle is drawn from it.
        table: (samples, measurements + 1).
        test_samples: So many are for testing.
    """
    values = torch.from_numpy(table[:, :-1].astype(np.float32))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    low, high = values.amin(0), values.amax(0)
    scaled = torch.cat([2 * (values - low) / (high - low) - 1, torch.ones(len(values), 1)], 1)
    samples = scaled.view(len(values), -1, 1, 1)
    order = torch.randperm(len(labels), generator=generator(torch.device("cpu"), f"{name} split"))
    test, train = order[:test_samples], order[test_samples:]
    return Dataset(
        name=name,
        train=Split(samples[train], labels[train]),
        test=Split(samples[test], labels[test]),
        classes=int(labels.max()) + 1,
        full_scale=1.0,
    )
