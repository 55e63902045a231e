"""The ledger of a run: what it asked of its chip, in counts, seconds and joules, by stage; and what of it is known.

Counts come from `ledger.bin`, which is exact at every moment; how they fall on training and tests, and what the cells
have had, from `ledger.json`, which is written after epochs. Joules are those of the datasheet's figures; a figure
it does not have makes a gap, not a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers import deed_file
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.energy import Energy
from firmware_specs.deeds import FIELDS, NOTHING, Deeds
from hil.training.run import documents
from hil.training.run.documents import DocumentError, Number, Text

COUNTS, DOCUMENT = "ledger.bin", "ledger.json"
DIGITAL_MAC_J = 4.6e-12
"""One multiply-accumulate in 32-bit floating point: 3.7 pJ and 0.9 pJ in 45 nm (Horowitz, ISSCC 2014, figure 1.1.9)."""
SWEEPS = 20.0
"""Assumed of a phase where the counterpart does not count them."""
WORDS = {
    "free": "free phases",
    "nudged": "nudged phases",
    "dac": "conversions to analog",
    "adc": "conversions to codes",
    "products": "products",
    "reads": "cell readings",
    "pulses_up": "pulses up",
    "pulses_down": "pulses down",
    "written": "cells written",
    "write_pulses": "writes they took",
    "device_s": "time on the device, s",
    "array_j": "settling and products in the cells, J",
    "free_s": "time of free phases, s",
    "nudged_s": "time of nudged phases, s",
    "free_j": "free phases in the cells, J",
    "nudged_j": "nudged phases in the cells, J",
}


class CellsHad(BaseModel):
    """What the cells of one coupling have had in all."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    most_pulses: Number = 0
    mean_pulses: Number = 0
    energy_j: Number = 0
    most_energy_j: Number = 0


class Kept(BaseModel):
    """`ledger.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    stages: dict[Text, dict[Text, Number]] = {}
    cells: dict[Text, CellsHad] = {}
    cells_before: dict[Text, CellsHad] = {}
    images: Number = 0
    epochs: Number = 0
    seconds: Number = 0
    macs_a_phase: Number = 0
    sweeps_a_phase: Number = 0
    started: Number = 0
    updated: Number = 0


@dataclass(frozen=True)
class Ledger:
    """What a run did to its chip.

    Attributes:
        total: All of it, with every session and what was done again after a kill.
        doubtful: Requests under way at a kill that count as done, though nobody knows.
        kept: How it falls on stages, and what the cells have had.
        energy: Figures of the datasheet.
        endurance: Writes and pulses that a cell survives by the datasheet; None: it does not say.
        counted: Whether the counterpart is a device at all.
    """

    total: Deeds = NOTHING
    doubtful: int = 0
    kept: Kept = field(default_factory=Kept)
    energy: Energy = field(default_factory=Energy)
    endurance: float | None = None
    counted: bool = True

    @property
    def figures_from(self) -> str:
        """Where the energy figures are from; empty where there are none, whatever the datasheet says of that."""
        known = any(figure is not None for figure in (self.energy.dac_j, self.energy.adc_j, self.energy.circuits_w))
        return self.energy.source if known else ""

    @property
    def stages(self) -> dict[str, Deeds]:
        """By stage; what a kill cut off before it was noted is `not noted`."""
        found = {name: _deeds(values) for name, values in self.kept.stages.items()}
        rest = self.total - sum(found.values(), start=NOTHING)
        if any(value > 0.5 for value in rest.numbers()[:10]):
            found["not noted"] = rest
        return found

    def joules(self, done: Deeds | None = None) -> dict[str, float | None]:
        """By part, of some deeds or of all; None where a figure is missing."""
        parts = joules(self.total if done is None else done, self.energy)
        return parts if done is not None else {"pulses and writes, in the cells": self.cells_j, **parts}

    @property
    def known_j(self) -> float:
        """Sum of what is known."""
        return sum(value for value in self.joules().values() if value is not None)

    @property
    def cells_j(self) -> float | None:
        """What pulses and writes of this run dissipated in the cells; None where nobody counted it."""
        if not self.kept.cells:
            return None
        joules = sum(had.energy_j - _before(self.kept, name).energy_j for name, had in self.kept.cells.items())
        acts = self.total.pulses_up + self.total.pulses_down + self.total.written
        return joules if joules > 0 or not acts else None

    @property
    def digital_j(self) -> float | None:
        """The same relaxations on a digital machine: its arithmetic alone, see `DIGITAL_MAC_J`."""
        phases = self.total.free + self.total.nudged
        if not phases or not self.kept.macs_a_phase:
            return None
        return phases * self.kept.macs_a_phase * (self.kept.sweeps_a_phase or SWEEPS) * DIGITAL_MAC_J

    @property
    def spent(self) -> dict[str, float | None]:
        """Joules and seconds of it by phase, in all, and as digital arithmetic; None where nobody knows."""
        total = self.total
        phases = total.free_j + total.nudged_j > 0 or not total.array_j
        return {
            "free_j": total.free_j if phases else None,
            "nudged_j": total.nudged_j if phases else None,
            "known_j": self.known_j,
            "digital_j": self.digital_j,
            "free_s": total.free_s,
            "nudged_s": total.nudged_s,
            "device_s": total.device_s,
        }

    def each(self, count: float) -> dict[str, float | None]:
        """The same shared among so many samples or epochs."""
        return {name: value / count if value is not None and count else None for name, value in self.spent.items()}

    @property
    def most_pulses(self) -> float:
        """Pulses and writes of the busiest cell, over its life as far as it is known."""
        return max((had.most_pulses for had in self.kept.cells.values()), default=0.0)

    @property
    def most_energy_j(self) -> float:
        """Joules of pulses and writes of the cell that had most, over its life as far as it is known."""
        return max((had.most_energy_j for had in self.kept.cells.values()), default=0.0)

    @property
    def worn_at(self) -> float | None:
        """When the busiest cell reaches its endurance at this run's rate, seconds since 1970; None: not known."""
        rates = [had.most_pulses - _before(self.kept, name).most_pulses for name, had in self.kept.cells.items()]
        seconds = self.kept.updated - self.kept.started
        if self.endurance is None or not rates or max(rates) <= 0 or seconds <= 0:
            return None
        return self.kept.updated + (self.endurance - self.most_pulses) * seconds / max(rates)

    def document(self) -> dict[str, Any]:
        """As JSON values, for `summary.json` and tools."""
        sample, epoch = self.each(self.kept.images), self.each(self.kept.epochs)
        return {
            "counts": self.total.document(),
            "doubtful_requests": self.doubtful,
            "stages": {name: deeds.document() for name, deeds in self.stages.items()},
            "joules": self.joules(),
            "known_j": self.known_j,
            "joules_a_sample": sample["known_j"],
            "joules_an_epoch": epoch["known_j"],
            "device_s_a_sample": sample["device_s"],
            "device_s_an_epoch": epoch["device_s"],
            "a_sample": sample,
            "an_epoch": epoch,
            "figures_from": self.figures_from or None,
            "digital_arithmetic_j": self.digital_j,
            "most_pulses_of_a_cell": self.most_pulses,
            "most_energy_of_a_cell_j": self.most_energy_j,
            "endurance": self.endurance,
            "endurance_reached_at": self.worn_at,
        }


def joules(deeds: Deeds, figures: Energy) -> dict[str, float | None]:
    """Of deeds by a datasheet's figures, by part; None where a figure is missing."""
    worked = deeds.free or deeds.products
    return {
        "settling and products, in the cells": deeds.array_j or (None if worked else 0.0),
        "conversions to analog": _times(figures.dac_j, deeds.dac),
        "conversions to codes": _times(figures.adc_j, deeds.adc),
        "other circuits": _times(figures.circuits_w, deeds.device_s),
    }


def of_run(folder: Path) -> Ledger:
    """The ledger of a run, while it goes on or afterwards; empty where nothing was counted.

    Raises:
        DocumentError: a file of it does not read back.
    """
    counts = folder / COUNTS
    if not counts.is_file():
        return Ledger(counted=False)
    try:
        total, doubtful = deed_file.read(counts)
    except (OSError, deed_file.DamagedDeeds) as error:
        raise DocumentError(f"{counts} does not read back: {error}") from error
    sheet = datasheet_of(folder)
    endurance = None if sheet is None else sheet.endurance.cycles
    energy = Energy() if sheet is None else sheet.energy
    return Ledger(total, doubtful, documents.read(folder / DOCUMENT, Kept) or Kept(), energy, endurance)


def datasheet_of(folder: Path) -> Datasheet | None:
    """The datasheet of the counterpart a run was on last; None where it has none."""
    sessions = documents.sessions(folder / "provenance.json")
    said = sessions[-1].get("counterpart") if sessions else None
    sheet = said.get("datasheet") if isinstance(said, dict) else None
    try:
        return Datasheet.model_validate(sheet) if sheet else None
    except ValidationError:
        return None


def _deeds(values: Mapping[str, float]) -> Deeds:
    return Deeds(**{name: max(0.0, float(values.get(name, 0))) for name in FIELDS})


def _before(kept: Kept, name: str) -> CellsHad:
    return kept.cells_before.get(name, CellsHad())


def _times(figure: float | None, count: float) -> float | None:
    return None if figure is None else figure * count
