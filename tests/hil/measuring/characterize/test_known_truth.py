"""Chips with known physics: what a characterization finds agrees with it, and its uncertainties are honest."""

import numpy as np
import pytest

from emulator.chip import Chip
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import Drift, Programming, PulseResponse, ReadNoise, SettleTime, Transfer

SEEDS = [  # and the share of intervals that cover: 9 in 1,000 honest draws of 36 figures fall below
    pytest.param(range(4), 0.85, 1.0, id="4 chips"),
    pytest.param(range(20), 0.90, 0.99, id="20 chips", marks=pytest.mark.soak),
]
PLAN = plan.Plan(
    rows=32,
    columns=8,
    transfer=Transfer(points=21, repeats=8),
    settle_time=SettleTime(),
    programming=Programming(levels=(0.2, 0.8, 0.4, 0.6)),
    read_noise=ReadNoise(reads=16),
    drift=Drift(ages_s=(1.0, 10.0, 100.0, 1e3, 1e4, 1e5)),
    pulse_response=PulseResponse(groups=12),
)


def truth(seed):
    """Random physics, by the names of the figures that find it."""
    draw = np.random.default_rng(seed)
    return {
        "transfer.gain_mismatch": draw.uniform(0.01, 0.05),
        "transfer.offset_mismatch": draw.uniform(0.005, 0.03),
        "programming.sigma": draw.uniform(0.003, 0.02),
        "read_noise.relative": draw.uniform(0.002, 0.02),
        "drift.nu": draw.uniform(0.02, 0.1),
        "pulse_response.asymmetry": draw.uniform(-0.3, 0.3),
        "pulse_response.step": draw.uniform(0.004, 0.01),
        "pulse_response.c2c": draw.uniform(0.1, 0.5),
        "settle_time.tau": draw.uniform(2e-7, 8e-7),
    }


def sheet_of(true):
    sheet = load("mixed-8bit").model_dump()
    sheet["neurons"] |= {
        "gain_mismatch_sigma": true["transfer.gain_mismatch"],
        "offset_mismatch_sigma_v": true["transfer.offset_mismatch"],
        "node_capacitance_f": true["settle_time.tau"] / sheet["neurons"]["transimpedance_ohm"],
    }
    for converter in ("drive_dac", "nudge_dac", "state_adc", "output_adc"):
        sheet[converter]["bits"] = 12
    sheet["settle"] |= {"mode": "transient", "time_s": 1e-5}
    sheet["cells"]["programming_noise"] = true["programming.sigma"]
    sheet["read_noise"] = {"law": "relative", "sigma": true["read_noise.relative"]}
    sheet["drift"] = {"law": "power", "t0_s": 20.0, "nu_mean": true["drift.nu"], "nu_sigma": 0.01}
    sheet["pulses"] = {
        "law": "linear",
        "step": true["pulse_response.step"],
        "asymmetry": true["pulse_response.asymmetry"],
        "c2c": true["pulse_response.c2c"],
        "slope_up": 0.3,
        "slope_down": 0.3,
        "step_d2d": 0.1,
        "amplitude_v": 1.0,
        "width_s": 1e-6,
    }
    return Datasheet.model_validate(sheet)


def deviations(seed, folder):
    """Found minus true in stated standard uncertainties, by figure."""
    true = truth(seed)
    sheet = sheet_of(true)
    with crossbar_of_chip(Chip(sheet, seed)) as crossbar:
        found = run.characterize(crossbar, PLAN, folder / str(seed), sheet)
    return {name: (found[name].measured.value - v) / found[name].measured.sigma for name, v in true.items()}


@pytest.mark.usefixtures("unpublished")
@pytest.mark.parametrize(("seeds", "low", "high"), SEEDS)
def test_figures_agree_with_the_truth_within_3_sigma_and_95_percent_intervals_cover(seeds, low, high, tmp_path):
    found = {seed: deviations(seed, tmp_path) for seed in seeds}
    assert {(s, k): round(z, 1) for s, by_name in found.items() for k, z in by_name.items() if abs(z) > 3} == {}
    z = np.array([list(by_name.values()) for by_name in found.values()])
    assert low <= (np.abs(z) < 1.96).mean() <= high
