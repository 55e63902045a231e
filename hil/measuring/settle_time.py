"""Settle time: the wait is shortened until states move."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Parameter
from hil.measuring.estimate import Estimate, curve
from hil.measuring.placed import PlacedBlock

Array = NDArray[np.float64]
SHARES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.03, 0.015)
"""Waits as shares of the device's usual one, falling."""
DRIVE = 0.7
REPEATS = 32
FEEDBACK = 0.005
"""Relative error of a time constant: weights written as zero are not quite, and their loop slows the block."""
MOVED = 5.0
"""States have moved when their mean differs by that many standard errors."""


@dataclass(frozen=True)
class Settling:
    """How fast a block comes to rest.

    Attributes:
        tau_s: Time constant of a neuron circuit or node; 0 with the shortest wait as uncertainty where nothing moved.
        unmoved_s: Shortest wait after which states were what they are after the longest.
    """

    tau_s: Estimate
    unmoved_s: float

    def needed_s(self, share: float, loop: float = 0.0) -> Estimate:
        """Wait that leaves a share of the way to go.

        Args:
            share: E.g. half a converter step over its range.
            loop: Loop gain of the couplings: the slowest mode takes `1 / (1 - loop)` times as long.
        """
        factor = math.log(1 / share) / (1 - loop)
        return Estimate(self.tau_s.value * factor, self.tau_s.sigma * factor, "s")


def usual_waits_s(block: PlacedBlock, shares: tuple[float, ...] = SHARES) -> Array:
    """Waits to try, falling, seconds."""
    return np.array(shares) * block.crossbar.info.parameter(Parameter.SETTLE_TIME_S)


def after(block: PlacedBlock, seconds: float, drive: float = DRIVE, repeats: int = REPEATS) -> Array:
    """States of the first layer after a wait from rest, (samples, units), model units."""
    return block.states(block.driven(drive, repeats), 0, seconds)


def conclude(waits_s: Array, states: Array) -> Settling:
    """`tau` of `s(t) = s_end (1 - exp(-t / tau))`, from states at rest (waits, samples, units), the longest wait first.

    Raises:
        ValueError: states move, but not by this law.
    """
    means = states.mean(axis=(1, 2))
    errors = states.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(states.shape[1])
    end = float(means[0])
    moved = ~(np.abs(means - end) <= MOVED * np.maximum(errors, errors[0]) + 1e-6)  # NaN is no rest
    if not moved.any():
        return Settling(Estimate(0.0, float(waits_s.min()), "s"), float(waits_s.min()))
    guess = float(waits_s[np.argmin(np.abs(means - 0.63 * end))])
    law = curve(
        lambda t, top, log_tau: top * (1 - np.exp(-t / np.exp(log_tau))),
        waits_s, means, {"top": end, "log_tau": math.log(guess)}, np.maximum(errors, 1e-6), {},
    )  # fmt: skip
    tau = math.exp(law["log_tau"].value)
    stretch = math.sqrt(max(1.0, law.chi2_per_freedom))
    sigma = tau * math.hypot(law["log_tau"].sigma * stretch, FEEDBACK)
    return Settling(Estimate(tau, sigma, "s"), float(waits_s[~moved].min()))
