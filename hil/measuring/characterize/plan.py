"""Plans: what is measured, on how many cells, and how many pulses it may cost (TOML)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, SerializeAsAny, ValidationError, field_validator

from firmware_specs.datasheet.section import Plain
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.refusals import explain
from firmware_specs.registry import find
from hil.measuring.characterize.items import (
    ITEMS,
    CurrentVoltage,
    Drift,
    Endurance,
    Found,
    Health,
    Item,
    NudgeLinearity,
    Programming,
    PulseResponse,
    ReadNoise,
    Reciprocity,
    SettleTime,
    SymmetricPoint,
    TemperatureSweep,
    Transfer,
)
from hil.measuring.characterize.told import ChipError, begun

PROVIDED = tuple(item.NAME for item in ITEMS)
"""Names of the items that come with this package."""


class PlanError(ValueError):
    """A plan that cannot be used; the message names file, key and what was expected."""


class Plan(Plain):
    """A characterization; an item that is given as an empty table is measured with its usual settings.

    Attributes:
        array: Which array of the device; what its cells hold is lost.
        rows: Rows of the region, units of the block's first layer.
        columns: Columns of the region, units of its last layer.
        pulse_budget: Most writes and pulses any cell may take of this characterization.
        own: Items of other packages, or of a module that `--plugin` named, by their registered names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    array: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[int, Field(ge=2)] = 16
    columns: Annotated[int, Field(ge=2)] = 16
    pulse_budget: Annotated[int, Field(ge=0)] = 2000
    found: Found | None = None
    health: Health | None = None
    transfer: Transfer | None = None
    settle_time: SettleTime | None = None
    nudge: NudgeLinearity | None = None
    reciprocity: Reciprocity | None = None
    iv: CurrentVoltage | None = None
    programming: Programming | None = None
    read_noise: ReadNoise | None = None
    temperature: TemperatureSweep | None = None
    drift: Drift | None = None
    pulse_response: PulseResponse | None = None
    symmetric_point: SymmetricPoint | None = None
    endurance: Endurance | None = None
    own: dict[str, SerializeAsAny[Any]] = Field(default={})

    @field_validator("own", mode="before")
    @classmethod
    def _looked_up(cls, given: object) -> object:
        """Items of others by their registered names, with the settings of their tables."""
        if not isinstance(given, dict):
            return given
        return {name: settings_of(name, table) for name, table in given.items()}

    @property
    def items(self) -> tuple[Item, ...]:
        """Items to measure, in order; what wears cells comes last."""
        named = (
            self.found, self._look, self.transfer, self.settle_time, self.nudge, self.reciprocity, self.iv,
            self.programming, self.read_noise, self.temperature, self.drift, self.pulse_response, self.symmetric_point,
            *self.own.values(), self.endurance,
        )  # fmt: skip
        return tuple(item for item in named if item is not None)

    @property
    def _look(self) -> Health | None:
        """The first look, which every measurement that writes begins with: what is broken is left out of all others."""
        writes = (
            self.transfer, self.settle_time, self.nudge, self.reciprocity, self.iv, self.programming, self.read_noise,
            self.temperature,
            self.drift, self.pulse_response, self.symmetric_point, self.endurance, *self.own.values(),
        )  # fmt: skip
        return self.health or (Health() if any(item is not None for item in writes) else None)


def settings_of(name: str, table: object) -> object:
    """An item of the registry with its settings.

    Raises:
        ValueError: nothing has this name, it is not an item, or its settings are refused.
    """
    if not isinstance(table, dict):
        return table
    item = find("items", name)
    lacking = [a for a in ("NAME", "NEEDS", "DIMS", "UNITS", "steps", "conclude") if not hasattr(item, a)]
    if lacking or not hasattr(item, "model_validate"):
        raise ValueError(f"{name} is no measuring item: it lacks {', '.join(lacking) or 'pydantic settings'}")
    if name in PROVIDED:
        raise ValueError(f"{name} is a shipped item: its table is [{name}], not [own.{name}]")
    if item.NAME in PROVIDED or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", item.NAME):
        raise ValueError(f"{name}: an item of one's own needs a NAME of its own in lower case, not {item.NAME!r}")
    try:
        return item.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(explain(error, table, item))) from error


def only(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan with some of its items only.

    Raises:
        PlanError: an item that the plan does not have.
    """
    there = [n for n in PROVIDED if getattr(plan, n, None) is not None] + list(plan.own)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise PlanError(f"--only {', '.join(unknown)}: not in the plan; there are {', '.join(there)}")
    dropped = {name: None for name in PROVIDED if name not in names}
    return plan.model_copy(update={**dropped, "own": {n: i for n, i in plan.own.items() if n in names}})


def usual(rows: int = 16, columns: int = 16, pulse_v: float = 0.0, pulse_s: float = 0.0) -> Plan:
    """Everything but reciprocity, endurance and symmetric points; pulses as given, else by the datasheet."""
    return Plan(
        rows=rows,
        columns=columns,
        found=Found(),
        health=Health(),
        transfer=Transfer(),
        settle_time=SettleTime(),
        nudge=NudgeLinearity(),
        iv=CurrentVoltage(),
        programming=Programming(),
        read_noise=ReadNoise(),
        temperature=TemperatureSweep(),
        drift=Drift(),
        pulse_response=PulseResponse(amplitude_v=pulse_v, width_s=pulse_s),
    )


def of(folder: Path) -> Plan:
    """The plan a characterization was made with.

    Raises:
        ChipError: the folder does not say. PlanError: it holds a plan that is refused.
    """
    found = begun(folder)
    if found is None:
        raise ChipError(f"{folder} does not say with which plan it was made: it has no provenance.json")
    try:
        return Plan.model_validate(found.plan)
    except ValidationError as error:
        raise PlanError(f"{folder / 'provenance.json'}: plan: " + "; ".join(explain(error, None, Plan))) from error


def load(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        PlanError: unreadable, not TOML, or refused.
    """
    try:
        return Plan.model_validate(parse_toml(read_text(path)))
    except ValidationError as error:
        raise PlanError(f"{path}: " + "; ".join(explain(error, None, Plan))) from error
    except (OSError, ValueError) as error:
        raise PlanError(f"{path}: not readable: {error}") from error
