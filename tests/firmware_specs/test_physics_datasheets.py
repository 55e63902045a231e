"""Datasheets with contradictory physics are refused with the reason."""

import pytest

from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.load import DatasheetError


def with_sections(**sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"cells": {"g_min_s": 2e-3}}, "g_min_s < g_max_s"),
        ({"drift": {"law": "power", "nu_mean": 0.05}}, "time origin"),
        ({"drift": {"law": "relaxation", "mean_slope_s": -1e-7}}, "time origin"),
        ({"drift": {"law": "exponential"}}, "tau_s"),
        ({"drift": {"law": "power", "t0_s": 20.0}}, "never drifts"),
        ({"cells": {"g_min_s": 1.0, "g_max_s": 101.0}}, "cells.g_max_s: siemens are expected, 100 uS is 1e-4"),
        ({"drift": {"law": "exponential", "tau_s": 1.0, "rest_s": 1.0}}, "above cells.g_max_s"),
        (
            {"drift": {"law": "power", "t0_s": 1, "nu_mean": {"slope": 1, "offset": 0, "low": 2, "high": 1}}},
            "low <= high",
        ),
        ({"read_noise": {"law": "relative"}}, "needs sigma above 0"),
        ({"read_noise": {"law": "flicker", "scale": 0.01}}, "t_read_s"),
        ({"pulses": {"law": "constant"}}, "needs step above 0"),
        ({"pulses": {"law": "exponential", "step": 0.01, "amplitude_up": 1.5}}, "cannot reach its range"),
        ({"pulses": {"law": "linear", "step": 0.01, "slope_down": 1.5}}, "cannot reach its range"),
        ({"pulses": {"law": "exponential", "step": 0.01, "gamma_up": 1.0, "scale": -1e6}}, "cannot reach its range"),
        (
            {
                "pulses": {"law": "exponential", "step": 5e-324, "amplitude_up": 0.6},
                "limits": {"max_pulses_per_cell": 9},
            },
            "inf pulses to cross",
        ),
        (
            {"pulses": {"law": "constant", "step": 1e-4}, "limits": {"max_pulses_per_cell": 1000}},
            "cannot reach the range",
        ),
        ({"pulses": {"law": "constant", "step": 0.01, "threshold_v": 2.0}}, "not below amplitude_v"),
        ({"pulses": {"law": "constant", "step": 0.01, "amplitude_v": 9.0}}, "above limits.max_pulse_v"),
        ({"pulses": {"law": "constant", "step": 0.01, "width_s": 1.0}}, "above limits.max_pulse_s"),
        ({"wires": {"method": "exact", "row_ohm": 1.0}}, "use 'ladder'"),
        ({"faults": {"stuck_on": 0.7, "stuck_off": 0.7}}, "more than all cells"),
        ({"settle": {"mode": "transient"}}, "node_capacitance_f"),
        ({"neurons": {"thermal_noise": True}}, "kT/C has no value without C"),
        ({"cells": {"programming_noise": 0.1}, "programming": {"sigma_coefficients_s": [1e-6]}}, "give one of the two"),
        ({"programming": {"sigma_coefficients_s": [1e-6, -3e-6]}}, "negative at G / g_max_s = 0.34"),
        ({"state_adc": {"bits": 24, "inl_lsb": 1.0}}, "up to 20 bits"),
        ({"state_adc": {"low_v": 0.1, "high_v": 0.9}}, "could not be seen"),
    ],
)
def test_contradictory_physics_is_refused_with_the_reason(sections, reason):
    with pytest.raises(ValueError, match=reason):
        with_sections(**sections)


def test_a_refusal_names_the_file_and_the_key(tmp_path):
    import tomllib
    from importlib import resources

    text = (resources.files("firmware_specs.datasheets") / "ideal.toml").read_text()
    assert "drift" not in tomllib.loads(text)
    path = tmp_path / "mine.toml"
    path.write_text(text + '\n[drift]\nlaw = "power"\nnu_mean = 0.05\nnu = 1\n')
    with pytest.raises(DatasheetError, match=r"mine.toml: drift.nu: unknown key"):
        load(path)


def test_pulses_across_the_range_are_the_integral_of_the_steps():
    constant = with_sections(pulses={"law": "constant", "step": 0.01, "asymmetry": 0.5}).pulses
    assert constant.pulses_across(True) == pytest.approx(60.0)
    assert constant.pulses_across(False) == pytest.approx(180.0)
    assert constant.states == pytest.approx(100)
