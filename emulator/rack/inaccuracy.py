"""Errors of a virtual instrument's range: fixed for the specimen's life, within what the model's facts state."""

from __future__ import annotations

import hashlib

import numpy as np

from firmware_specs.racks.facts import Range

STATIC = 0.5
NOISE = 0.05


class Inaccuracy:
    """Gain and offset errors and reading noise of one instrument.

    Args:
        seed: Which rack.
        name: Which instrument.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._key = (seed, name)
        self._static: dict[tuple[str, float], tuple[float, float]] = {}
        self._noise = _generator(seed, name, "noise")

    def __call__(self, what: str, used: Range, value: float, nplc: float | None = None) -> float:
        """A value as this instrument sets or sees it; `nplc` is given for readings, which are noisy."""
        if (what, used.full) not in self._static:
            draw = _generator(*self._key, what, used.full).uniform(-STATIC, STATIC, 2)
            self._static[what, used.full] = (float(draw[0]), float(draw[1]))
        gain, offset = self._static[what, used.full]
        noise = 0.0
        if nplc is not None:
            noise = NOISE * min(3.0, nplc**-0.5) * min(max(float(self._noise.standard_normal()), -3.0), 3.0)
        return value * (1 + gain * used.gain) + used.offset * (offset + noise)


def _generator(*key: object) -> np.random.Generator:
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
