"""aihwkit's inference noise models as sections of a datasheet; coefficients in microsiemens, as its source has them."""

from __future__ import annotations

from typing import Any

MICRO = 1e-6

NOISE_MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "PCMLike": {
        "cells": {"g_min_s": 0.0, "g_max_s": 25 * MICRO},
        "programming": {"sigma_coefficients_s": [c * MICRO for c in (0.26348, 1.9650, -1.1731)]},
        "drift": {
            "law": "power", "t0_s": 20.0,
            "nu_mean": {"slope": -0.0155, "offset": 0.0244, "low": 0.049, "high": 0.1},
            "nu_sigma": {"slope": -0.0125, "offset": -0.0059, "low": 0.008, "high": 0.045},
        },
        "read_noise": {"law": "flicker", "scale": 0.0088, "exponent": 0.65, "ceiling": 0.2, "t_read_s": 250e-9},
    },
    "Hermes": {
        "cells": {"g_min_s": 0.0, "g_max_s": 20.7 * MICRO},
        "programming": {"sigma_coefficients_s": [c * MICRO for c in (0.16603, 4.71806, -8.48101, 4.68961)]},
        "drift": {
            "law": "power", "t0_s": 300.0,
            "nu_mean": {"slope": -0.0387, "offset": -0.0182, "low": 0.0174, "high": 0.13},
            "nu_sigma": {"slope": -0.0125, "offset": -0.0059, "low": 0.008, "high": 0.045},
        },
        "read_noise": {"law": "flicker", "scale": 0.0088, "exponent": 0.65, "ceiling": 0.04, "t_read_s": 512e-9},
    },
    "ReRamWan": {
        "cells": {"g_min_s": 0.0, "g_max_s": 40 * MICRO},
        "programming": {"sigma_coefficients_s": [c * MICRO for c in (0.348, 16.030, -43.853, 45.393, -16.815)]},
    },
}  # fmt: skip
"""By name: PCM (Nandakumar), IBM Hermes chip (two devices), NeuRRAM (Wan, after 1 s)."""

REMARKS: dict[str, str] = {
    "PCMLike": "exact but for the noise of a weight that is 0, which aihwkit clips",
    "Hermes": "exact in programming; piecewise polynomials of drift and 1/f noise are approximated by clipped laws",
    "ReRamWan": "programming noise after 1 s; the fits after a day and two have no law between them and are left out",
}
