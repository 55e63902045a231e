"""Contradictions between the sections that describe physics."""

from __future__ import annotations

from typing import Protocol

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.drift import Drift
from firmware_specs.datasheet.fabric import Fabric, Limits
from firmware_specs.datasheet.neurons import Neurons, Settle
from firmware_specs.datasheet.programming import Programming
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.datasheet.wires import EXACT_CELLS, Wires


class Sections(Protocol):
    """The sections that describe physics, as a datasheet has them."""

    @property
    def cells(self) -> Cells: ...  # noqa: D102
    @property
    def drift(self) -> Drift: ...  # noqa: D102
    @property
    def fabric(self) -> Fabric: ...  # noqa: D102
    @property
    def limits(self) -> Limits: ...  # noqa: D102
    @property
    def neurons(self) -> Neurons: ...  # noqa: D102
    @property
    def programming(self) -> Programming: ...  # noqa: D102
    @property
    def pulses(self) -> Pulses: ...  # noqa: D102
    @property
    def settle(self) -> Settle: ...  # noqa: D102
    @property
    def wires(self) -> Wires: ...  # noqa: D102


MOST_S = 1.0
"""No cell conducts so well: a figure above it was given in another unit."""


def refuse_contradictions(sheet: Sections) -> None:
    """Raises `ValueError` with the reason where sections exclude each other."""
    _cells(sheet)
    _pulses(sheet)
    _wires(sheet)
    if sheet.settle.mode == "transient" and sheet.neurons.node_capacitance_f is None:
        raise ValueError("settle.mode: 'transient' needs neurons.node_capacitance_f, or nothing takes time")


def _cells(sheet: Sections) -> None:
    cells, coefficients = sheet.cells, sheet.programming.sigma_coefficients_s
    if cells.g_max_s > MOST_S:
        raise ValueError(f"cells.g_max_s: siemens are expected, 100 uS is 1e-4; {cells.g_max_s} S is no cell's")
    if coefficients and cells.programming_noise:
        raise ValueError("programming.sigma_coefficients_s and cells.programming_noise: give one of the two")
    for k in range(51):
        g = (cells.g_min_s + k / 50 * cells.span_s) / cells.g_max_s
        if sheet.programming.sigma_s(g) < 0:
            raise ValueError(f"programming.sigma_coefficients_s: negative at G / g_max_s = {g:.2f}")
    if sheet.drift.law == "exponential" and sheet.drift.rest_s > cells.g_max_s:
        raise ValueError(f"drift.rest_s: {sheet.drift.rest_s} S is above cells.g_max_s = {cells.g_max_s} S")


def _pulses(sheet: Sections) -> None:
    pulses, limits = sheet.pulses, sheet.limits
    if pulses.law == "none":
        return
    for what, nominal, most in (
        ("amplitude_v", pulses.amplitude_v, limits.max_pulse_v),
        ("width_s", pulses.width_s, limits.max_pulse_s),
    ):
        if nominal > most:
            raise ValueError(f"pulses.{what}: {nominal} is above limits.max_pulse_{what[-1]} = {most}")
    for up in (True, False):
        needed = pulses.pulses_across(up)
        if needed > limits.max_pulses_per_cell:
            raise ValueError(
                f"pulses: {needed:.0f} pulses to cross 90 % of the range {'up' if up else 'down'}, "
                f"limits.max_pulses_per_cell = {limits.max_pulses_per_cell}: the law cannot reach the range"
            )


def _wires(sheet: Sections) -> None:
    fabric = sheet.fabric
    if sheet.wires.method == "exact" and fabric.max_rows * fabric.max_columns > EXACT_CELLS:
        raise ValueError(
            f"wires.method: 'exact' solves arrays of at most {EXACT_CELLS} cells, the fabric allows "
            f"{fabric.max_rows} x {fabric.max_columns}: use 'ladder', or a smaller fabric"
        )
