"""The one choke point in front of the wire: limits, finite numbers, and budgets of pulses and energy per cell.

The tightest of chip, board, bench file and run holds, and a refusal names whose limit it was. Nothing is clipped here:
a value is as asked for, or refused. What a cell has spent is charged *before* the pulse goes out, so that a pulse whose
reply was lost has been counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.chip_ledger import ChipLedger, plane_name
from drivers.errors import BudgetSpent, OutOfRange
from firmware_specs.messages import PULSES_A_CELL, LimitsRecord, Region

Plane = tuple[int, int, int]
"""Array, coupling, plane."""
Joules = NDArray[np.float64]
Planned = tuple[Plane, tuple[slice, slice], NDArray[np.int64], Joules]
"""A plane, some of its cells, and the pulses and joules they will have had."""

MOST_READS = 65535
OPEN_ENDED = ("max_energy_per_cell_j", "max_source_v")
"""Limits that may be infinite."""

_UNITS = {"a": "A", "v": "V", "s": "s", "k": "K", "j": "J", "cell": "pulses"}


@dataclass(frozen=True)
class Limit:
    """One limit and whose it is."""

    name: str
    value: float
    source: str

    def __str__(self) -> str:
        unit = _UNITS.get(self.name.rpartition("_")[2], "")
        return f"{self.name} = {self.value:g} {unit} ({self.source})".replace("  ", " ")


@dataclass(frozen=True)
class Limits:
    """The tightest limits of several sources, field by field."""

    max_drive_a: Limit
    max_read_v: Limit
    max_pulse_v: Limit
    max_pulse_s: Limit
    max_pulses_per_cell: Limit
    max_energy_per_cell_j: Limit
    max_temperature_k: Limit
    max_source_v: Limit

    @classmethod
    def tightest(cls, sources: Mapping[str, Mapping[str, float]]) -> Limits:
        """Combines sources; each is named and gives some or all of the eight limits.

        Raises:
            OutOfRange: a limit is not a positive number, is unknown, or is given by no source.
        """
        names = [field.name for field in fields(cls)]
        found: dict[str, Limit] = {}
        for source, values in sources.items():
            for name, value in values.items():
                if name not in names:
                    raise OutOfRange(f"{source}: unknown limit {name!r}; there are {', '.join(names)}")
                if not value > 0 or (math.isinf(value) and name not in OPEN_ENDED):
                    raise OutOfRange(f"{source}: {name} = {value}: a positive, finite number is needed")
                if name not in found or value < found[name].value:
                    found[name] = Limit(name, float(value), source)
        for name in OPEN_ENDED:
            found.setdefault(name, Limit(name, math.inf, "no limit given"))
        missing = [name for name in names if name not in found]
        if missing:
            raise OutOfRange(f"nobody gives the limits {', '.join(missing)}")
        return cls(**found)

    def record(self) -> LimitsRecord:
        """As the protocols carry them."""
        return LimitsRecord(*(getattr(self, field.name).value for field in fields(self)))


class Guard:
    """Checks what goes out, and keeps the ledger of what every cell has had.

    Args:
        limits: The tightest limits.
        device: Named in refusals.
        kept: Where totals are kept of a chip that does not count itself.
    """

    def __init__(self, limits: Limits, device: str = "", kept: ChipLedger | None = None) -> None:
        self.limits = limits
        self._device, self._kept = device, kept
        self._pulses: dict[Plane, NDArray[np.int64]] = {}
        self._energy_j: dict[Plane, NDArray[np.float64]] = {}

    def current(self, what: str, amperes: ArrayLike) -> None:
        """Refuses drive or nudge currents that are not finite or are beyond the limit."""
        self._within(what, np.asarray(amperes), self.limits.max_drive_a)

    def source_voltage(self, volts: ArrayLike) -> None:
        """Refuses voltages of source nodes that are not finite or are beyond the limit."""
        self._within("source voltage", np.asarray(volts), self.limits.max_source_v)

    def read_voltage(self, volts: ArrayLike) -> None:
        """Refuses voltages across a cell that are not finite or are beyond the limit for reading."""
        values = np.asarray(volts)
        if not values.size:
            raise OutOfRange("read voltage: at least one is needed", device=self._device)
        self._within("read voltage", values, self.limits.max_read_v)

    def temperature(self, kelvin: float) -> None:
        """Refuses a temperature beyond the limit: of a chip whose outputs are to go on, or one that is to be set."""
        if not kelvin >= 0:
            raise OutOfRange(f"temperature {kelvin} K: 0 or more is needed", device=self._device)
        self._within("chip temperature", np.asarray(kelvin), self.limits.max_temperature_k)

    def finite(self, what: str, values: NDArray[Any]) -> None:
        """Refuses NaN and infinities."""
        with np.errstate(all="ignore"):
            if np.isfinite(np.sum(values, dtype=np.float64)):  # one pass; a sum hides no NaN and no infinity
                return
        bad = ~np.isfinite(values)
        if bad.any():
            first = np.unravel_index(int(np.argmax(bad)), values.shape)
            where = f" at {tuple(int(i) for i in first)}" if values.ndim else ""
            raise OutOfRange(
                f"{what}: {int(bad.sum())} of {values.size} values are not finite, the first is {values[first]}{where}"
                "; nothing was sent",
                device=self._device,
            )

    def count(self, what: str, value: object, highest: int) -> int:
        """An integer from 0 to `highest`; refuses everything else, floats and overflow included."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= int(value) <= highest:
            raise OutOfRange(f"{what}: {value!r}: an integer from 0 to {highest} is needed", device=self._device)
        return int(value)

    def reads(self, reads: object) -> int:
        """Conversions to be averaged; refuses none, and more than a request can name."""
        if not self.count("reads", reads, MOST_READS):
            raise OutOfRange("reads: at least 1 is needed", device=self._device)
        return int(reads)  # type: ignore[call-overload]

    def seconds(self, what: str, value: float) -> None:
        """Refuses a time that is no number or below 0."""
        if not 0 <= value < math.inf:
            raise OutOfRange(f"{what} {value} s: 0 or more is needed", device=self._device)

    def pulse_counts(self, region: Region, count: int | NDArray[np.integer[Any]]) -> NDArray[np.uint16]:
        """Pulses of every cell of a region, from one count for all or (rows, columns) of them; whole numbers only."""
        if not isinstance(count, np.ndarray):
            return np.full((region.rows, region.columns), self.count("pulses", count, PULSES_A_CELL), np.uint16)
        if count.shape != (region.rows, region.columns) or count.dtype.kind not in "iu":
            text = f"integers ({region.rows}, {region.columns}) are needed, got {count.dtype} {count.shape}"
            raise OutOfRange(f"pulse counts: {text}", device=self._device)
        for end in (count.min(), count.max()):
            self.count("pulses", int(end), PULSES_A_CELL)
        return count.astype(np.uint16)

    def open_ledger(self, plane: Plane, pulses: NDArray[Any], energy_j: NDArray[np.float64]) -> None:
        """Takes over what the cells of a plane have had; never lowers what is known already."""
        pulses, energy_j = pulses.astype(np.int64), energy_j.astype(np.float64)
        if self._kept is not None:
            had, heat = self._kept.had(plane_name(*plane), pulses.shape)
            pulses, energy_j = np.maximum(pulses, had), np.maximum(energy_j, heat)
        known = self._pulses.get(plane)
        if known is not None and known.shape == pulses.shape:
            pulses, energy_j = np.maximum(pulses, known), np.maximum(energy_j, self._energy_j[plane])
        self._pulses[plane], self._energy_j[plane] = pulses, energy_j

    def spent(self, plane: Plane) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Pulses and joules that every cell of a plane has had."""
        return self._pulses[plane].copy(), self._energy_j[plane].copy()

    @property
    def all_spent(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """The same of all planes that are known, by `plane_name`."""
        return {plane_name(*plane): self.spent(plane) for plane in self._pulses}

    def charge_pulses(
        self, region: Region, amplitude_v: float, width_s: float, counts: NDArray[np.integer], g_s: ArrayLike
    ) -> None:
        """Refuses a pulse train beyond limits or budgets as a whole; else charges it.

        Args:
            region: Cells that get pulses.
            amplitude_v: Height, positive.
            width_s: Width, positive.
            counts: Pulses of every cell, (rows, columns).
            g_s: Conductances for the energy, siemens; the largest the cell can have is an upper bound.
        """
        self._pulse_shape(amplitude_v, width_s)
        if (counts < 0).any():
            raise OutOfRange("pulse counts: negative", device=self._device)
        joules = counts * (amplitude_v**2 * np.asarray(g_s, dtype=np.float64) * width_s)
        self._spend([self._planned(region, counts.astype(np.int64), joules)])

    def charge_coincidences(
        self, planes: Mapping[Region, tuple[NDArray[np.int64], Joules]], amplitude_v: float, width_s: float, g_s: float
    ) -> None:
        """Refuses pulses on rows and columns beyond limits or budgets as a whole; else charges them.

        Args:
            planes: Regions, none of which overlap; pulses of every cell, and what heats it besides, in pulses.
            amplitude_v: Height, positive.
            width_s: Width, positive.
            g_s: The largest conductance a cell can have, siemens.
        """
        self._pulse_shape(amplitude_v, width_s)
        each_j = amplitude_v**2 * g_s * width_s
        self._spend([self._planned(region, n, (n + besides) * each_j) for region, (n, besides) in planes.items()])

    def _pulse_shape(self, amplitude_v: float, width_s: float) -> None:
        for what, value, limit in (
            ("pulse amplitude", amplitude_v, self.limits.max_pulse_v),
            ("pulse width", width_s, self.limits.max_pulse_s),
        ):
            self._within(what, np.asarray(value), limit)
            if not value > 0:
                raise OutOfRange(f"{what} {value}: a positive number is needed", device=self._device)

    def charge_writes(self, plane: Plane, positions: NDArray[np.integer], each: int = 1, joules: float = 0.0) -> None:
        """Counts programming pulses of written cells.

        Args:
            plane: Where.
            positions: Which cells, row-major in the plane.
            each: Pulses a cell may take of it.
            joules: Energy of one of them.
        """
        ledger, energy = self._pulses[plane], self._energy_j[plane]
        after = ledger.reshape(-1)[positions] + each
        self._refuse_beyond(after, self.limits.max_pulses_per_cell, plane, positions, ledger.shape[1])
        if joules > 0:
            heat = energy.reshape(-1)[positions] + each * joules
            self._refuse_beyond(heat, self.limits.max_energy_per_cell_j, plane, positions, ledger.shape[1])
            energy.reshape(-1)[positions] = heat
        ledger.reshape(-1)[positions] = after
        self._keep(plane)

    def _keep(self, plane: Plane) -> None:
        """Writes down what a plane has had, before it has it."""
        if self._kept is not None:
            self._kept.keep(plane_name(*plane), self._pulses[plane], self._energy_j[plane])

    def _planned(self, region: Region, counts: NDArray[np.int64], joules: Joules) -> Planned:
        """What the cells of a region would have had; refused where that is beyond a budget."""
        plane = (region.array, region.coupling, region.plane)
        if plane not in self._pulses:
            raise OutOfRange(f"array {plane[0]} has no coupling {plane[1]} plane {plane[2]}", device=self._device)
        ledger, energy = self._pulses[plane], self._energy_j[plane]
        rows, columns = region.slices
        if rows.stop > ledger.shape[0] or columns.stop > ledger.shape[1]:
            raise OutOfRange(f"{region} reaches beyond the {ledger.shape} cells", device=self._device)
        after, heat = ledger[rows, columns] + counts, energy[rows, columns] + joules
        positions = np.arange(ledger.size).reshape(ledger.shape)[rows, columns].reshape(-1)
        pulsed = counts.reshape(-1) > 0
        for values, touched, limit in (
            (after, pulsed, self.limits.max_pulses_per_cell),
            (heat, pulsed | (joules.reshape(-1) > 0), self.limits.max_energy_per_cell_j),
        ):
            self._refuse_beyond(values.reshape(-1)[touched], limit, plane, positions[touched], ledger.shape[1])
        return plane, (rows, columns), after, heat

    def _spend(self, planned: Sequence[Planned]) -> None:
        for plane, where, after, heat in planned:
            self._pulses[plane][where], self._energy_j[plane][where] = after, heat
            self._keep(plane)

    def _refuse_beyond(
        self, after: NDArray[Any], limit: Limit, plane: Plane, positions: NDArray[np.integer], columns: int
    ) -> None:
        beyond = ~(after <= limit.value)  # also true of NaN
        if beyond.any():
            first = int(np.argmax(beyond))
            row, column = divmod(int(positions[first]), columns)
            raise BudgetSpent(
                f"array {plane[0]} coupling {plane[1]} plane {plane[2]} cell ({row}, {column}) would have "
                f"{after[first]:g}, beyond {limit}, and {int(beyond.sum()) - 1} more cells; nothing was sent",
                device=self._device,
                todo="The cell is worn by its count: take another array, or raise the budget in the bench file",
            )

    def _within(self, what: str, values: NDArray[Any], limit: Limit) -> None:
        if values.dtype.kind not in "fiu":
            raise OutOfRange(f"{what}: numbers are needed, got {values.dtype}", device=self._device)
        self.finite(what, values)
        if values.size == 0:
            return
        largest = max(float(values.max()), -float(values.min()))
        if not largest <= limit.value:
            raise OutOfRange(f"{what} {largest:g} is beyond {limit}; nothing was sent", device=self._device)
