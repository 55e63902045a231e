"""Two rings of points: a data set in ten lines."""

import numpy as np


def rings():
    """Two rings in the plane, 240 points."""
    draw = np.random.default_rng(1)
    side, angle = draw.integers(0, 2, 240), draw.uniform(0, 2 * np.pi, 240)
    radius = 0.5 + side + draw.normal(0, 0.1, 240)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), radius], 1).astype("float32"), side
