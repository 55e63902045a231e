"""How far a twin is from its source: held-out measurements on both, compared as distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hil.measuring.characterize.items import Programming, PulseResponse, ReadNoise
from hil.measuring.characterize.plan import Plan
from hil.measuring.characterize.run import Characterization
from hil.measuring.verdict import beyond

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
REJECTED = 0.01


@dataclass(frozen=True)
class Distance:
    """Two-sample Kolmogorov-Smirnov distance between a source and its twin.

    Attributes:
        name: What was measured.
        distance: Largest difference of the two cumulative distributions.
        p_value: Probability of at least this distance between two samples of one distribution.
        samples: Independent values on either side.
    """

    name: str
    distance: float
    p_value: float
    samples: int

    @property
    def rejected(self) -> bool:
        """Is it unlikely (1 %) that both are of one distribution? A distance that is not a number is no likeness."""
        return beyond(REJECTED, self.p_value)


def held_out(plan: Plan) -> Plan:
    """A plan for measurements that no fit has seen: other levels, fewer pulses."""
    response = plan.pulse_response
    return Plan(
        array=plan.array,
        rows=plan.rows,
        columns=plan.columns,
        pulse_budget=plan.pulse_budget,
        programming=None if plan.programming is None else Programming(levels=(0.15, 0.85, 0.45, 0.65)),
        read_noise=None if plan.read_noise is None else ReadNoise(reads=16),
        pulse_response=None if response is None else PulseResponse(start=0.35, groups=12, pulses=response.pulses),
    )


def compare(source: Characterization, twin: Characterization) -> list[Distance]:
    """Distances between what was measured on both."""
    found = []
    for item, samples in SAMPLES.items():
        if item in source.data and item in twin.data:
            a, b = samples(source.data[item]), samples(twin.data[item])
            result = stats.ks_2samp(a, b)
            size = min(len(a), len(b))
            found.append(Distance(item, float(result.statistic), float(result.pvalue), size))
    return found


def _read_noise(data: xr.Dataset) -> Array:
    """Standard deviation of every cell over its mean conductance; one value a cell, so that they are independent."""
    readings = data["level"].to_numpy()[0]
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    flat = readings.reshape(len(readings), -1) + low / (high - low)
    return np.asarray(flat.std(axis=0, ddof=1) / flat.mean(axis=0))


def _programming(data: xr.Dataset) -> Array:
    """Error of every write of every cell."""
    error = data["level"].to_numpy().mean(axis=1) - data["target"].to_numpy()[:, None, None, None]
    return np.asarray(error.ravel())


def _pulses(data: xr.Dataset) -> Array:
    """Change of every cell from the first to the last reading of the way up; one value a cell."""
    mean = data["level"].to_numpy().mean(axis=1)
    top = int(np.flatnonzero(data["direction"].to_numpy() == 1)[-1])
    return np.asarray((mean[top] - mean[0]).ravel())


SAMPLES: Mapping[str, Callable[[xr.Dataset], Array]] = {
    "read_noise": _read_noise,
    "programming": _programming,
    "pulse_response": _pulses,
}
