"""Keys of a datasheet from fitted ramps, up and down, with their standard uncertainties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.maximize import Found
from hil.measuring.laws.ramp_pieces import FEW
from hil.measuring.laws.responses import KNOTS, Family
from hil.measuring.laws.samples import Ramps

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A family fitted to one direction.

    Attributes:
        family: Which.
        found: Parameters: of the family, of its spread, then `ln` of the noise of a reading.
        d2d: Spread of the logarithm of the ramps' factors, and its standard uncertainty.
        factor: `ln` of each ramp's factor on the step, shrunk to what is known of it.
        outliers: Readings left out.
        slow: Does it have noise of the readings that outlives a pulse?
    """

    family: Family
    found: Found
    d2d: tuple[float, float]
    factor: Array
    outliers: int
    slow: bool = False

    @property
    def slow_noise(self) -> tuple[float, float]:
        """Standard deviation of noise that outlives a pulse, shares of the range, and the pulses it lasts."""
        return (float(np.exp(self.found.best[-3])), float(np.exp(self.found.best[-2]))) if self.slow else (0.0, 0.0)

    @property
    def c2c(self) -> float:
        """Spread from pulse to pulse, shares of a step, where it is one number."""
        return float(np.exp(self.found.best[self.family.size]))

    @property
    def noise(self) -> float:
        """Standard deviation of a reading, shares of the range."""
        return float(np.exp(self.found.best[-1]))

    @property
    def between(self) -> float:
        """Standard uncertainty of `ln` of the step for want of more cells."""
        return self.d2d[0] / float(np.sqrt(len(self.factor)))

    def sigma(self, place: int) -> float:
        """Standard uncertainty of a parameter."""
        return float(self.found.sigma[place])


def sections_of(
    ramps: Sequence[Ramps], fitted: Sequence[Fitted], by_law: float = 0.0
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Keys of `[pulses]`, and `[read_noise]` as the ramps saw it.

    Args:
        ramps: One or two directions.
        fitted: To each.
        by_law: Relative standard uncertainty of the step for want of knowing the law.
    """
    up = next((f for r, f in zip(ramps, fitted, strict=True) if r.up), fitted[0])
    down = next((f for r, f in zip(ramps, fitted, strict=True) if not r.up), fitted[-1])
    first = ramps[0]
    keys: dict[str, Any] = {"law": up.family.name.split()[0]}
    sigma: dict[str, float] = {}
    _common(keys, sigma, up, down)
    _SHAPES[keys["law"]](keys, sigma, up, down)
    shared, apart = _between(up, down)
    keys |= {"step_d2d": shared, "step_spread": "log_normal", "asymmetry_d2d": apart}
    cells = min(len(f.factor) for f in fitted)
    if cells >= FEW:
        sigma["pulses.step_d2d"] = _both(up.d2d[1], down.d2d[1])
    between = float(np.hypot(up.between, down.between) / np.sqrt(2))  # the same cells go up and down
    sigma["pulses.step"] = float(np.hypot(sigma["pulses.step"], keys["step"] * np.hypot(between, by_law)))
    if "pulses.asymmetry" in sigma:
        sigma["pulses.asymmetry"] = float(np.hypot(sigma["pulses.asymmetry"], apart / np.sqrt(cells)))
    if up.slow:
        slow = float(np.sqrt((up.slow_noise[0] ** 2 + down.slow_noise[0] ** 2) / 2))
        keys["write_noise"] = slow / keys["step"]
        keys["write_noise_memory"] = float(np.sqrt(up.slow_noise[1] * down.slow_noise[1]))
        sigma["pulses.write_noise"] = keys["write_noise"] * _both(up.sigma(-3), down.sigma(-3))
        sigma["pulses.write_noise_memory"] = keys["write_noise_memory"] * _both(up.sigma(-2), down.sigma(-2))
    if np.isfinite(first.amplitude_v) and first.amplitude_v > 0:
        keys["amplitude_v"] = first.amplitude_v
    if np.isfinite(first.width_s) and first.width_s > 0:
        keys["width_s"] = first.width_s
    noise = float(np.sqrt((up.noise**2 + down.noise**2) / 2))
    sigma["read_noise.sigma"] = _both(up.noise * up.sigma(-1), down.noise * down.sigma(-1))
    return {"pulses": keys, "read_noise": {"law": "additive", "sigma": noise}}, sigma


def _common(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    """Step and asymmetry: of families that have response 1 at mid-range or anywhere."""
    a, b = (float(np.exp(f.found.best[0])) for f in (up, down))
    keys["step"], keys["asymmetry"] = (a + b) / 2, (a - b) / (a + b)
    sigma["pulses.step"] = float(np.hypot(a * up.sigma(0), b * down.sigma(0)) / 2)
    sigma["pulses.asymmetry"] = float(np.hypot(up.sigma(0), down.sigma(0)) / 2)
    if not up.family.spreads:
        place, both = up.family.size, a**2 + b**2  # one number for both ways: the larger steps say it
        spread2 = np.array([(a * up.c2c) ** 2, (b * down.c2c) ** 2]) / both
        keys["c2c"] = float(np.sqrt(spread2.sum()))
        known = np.hypot(*(spread2 * (up.sigma(place), down.sigma(place))))
        sigma["pulses.c2c"] = float(known / max(keys["c2c"], 1e-30))


def _linear_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for key, f in (("slope_up", up), ("slope_down", down)):
        keys[key] = float(min(f.found.best[1], 1.0))  # steeper, and it ends inside the range
        sigma[f"pulses.{key}"] = f.sigma(1)


def _power_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for key, f in (("gamma_up", up), ("gamma_down", down)):
        keys[key] = float(np.exp(f.found.best[1]))
        sigma[f"pulses.{key}"] = keys[key] * f.sigma(1)


def _exponential_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for way, f in (("up", up), ("down", down)):
        keys[f"amplitude_{way}"], keys[f"gamma_{way}"] = float(f.found.best[1]), float(np.exp(f.found.best[2]))
        sigma[f"pulses.amplitude_{way}"] = f.sigma(1)
        sigma[f"pulses.gamma_{way}"] = keys[f"gamma_{way}"] * f.sigma(2)


def _table_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    """`step` is the mean of both at mid-range; down ramps were turned, so that their knots run the other way."""
    rise, fall = np.exp(up.found.best[: len(KNOTS)]), np.exp(down.found.best[: len(KNOTS)])[::-1]
    middle = (np.interp(0.5, KNOTS, rise) + np.interp(0.5, KNOTS, fall)) / 2
    keys |= {"step": float(middle), "asymmetry": 0.0, "levels": KNOTS.tolist()}
    keys |= {"up": (rise / middle).tolist(), "down": (fall / middle).tolist()}
    place = len(KNOTS) // 2
    sigma["pulses.step"] = float(np.hypot(rise[place] * up.sigma(place), fall[place] * down.sigma(place)) / 2)
    sigma.pop("pulses.asymmetry", None)
    if up.family.spreads:
        for key, f, turn in (("spread_up", up, 1), ("spread_down", down, -1)):
            spread = np.exp(f.found.best[f.family.size : f.family.size + len(KNOTS)])
            keys[key] = (spread[::turn] / middle).tolist()


def _none(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    return


_SHAPES = {
    "constant": _none,
    "soft_bounds": _none,
    "linear": _linear_keys,
    "power": _power_keys,
    "exponential": _exponential_keys,
    "table": _table_keys,
}


def _between(up: Fitted, down: Fitted) -> tuple[float, float]:
    """Spread of a cell's step and of its asymmetry, from how its factors up and down agree."""
    if up is down or len(up.factor) != len(down.factor) or len(up.factor) < FEW:
        return float(np.sqrt((up.d2d[0] ** 2 + down.d2d[0] ** 2) / 2)), 0.0
    variance = (up.d2d[0] ** 2 + down.d2d[0] ** 2) / 2
    if min(up.factor.std(), down.factor.std()) == 0:
        return float(np.sqrt(variance)), 0.0
    agree = float(np.clip(np.corrcoef(up.factor, down.factor)[0, 1], 0.0, 1.0))
    return float(np.sqrt(variance * (1 + agree) / 2)), float(np.sqrt(variance * (1 - agree) / 2))


def _both(a: float, b: float) -> float:
    return float(np.hypot(a, b) / 2)
