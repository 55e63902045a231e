"""Tables that scikit-learn carries, read without importing it: that takes a second, longer than training on them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def bundled(name: str, header_lines: int = 0) -> np.ndarray:
    """A table of numbers among scikit-learn's data sets.

    Args:
        name: Of the file, `digits.csv.gz` say.
        header_lines: Lines before the numbers.

    Returns:
        (rows, columns), float64.

    Raises:
        FileNotFoundError: this release of scikit-learn keeps it elsewhere.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise FileNotFoundError(f"{name} comes with scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / name
    return np.loadtxt(path, delimiter=",", skiprows=header_lines)
