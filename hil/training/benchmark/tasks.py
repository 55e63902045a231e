"""The tasks of a benchmark: which experiments they are on a counterpart, and which of them it can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.datasheet import Datasheet
from firmware_specs.refusals import close
from firmware_specs.topology import Substrate
from hil import data
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.seam import PlacementError
from hil.data import DataError
from hil.experiments import experiment_file
from hil.learning.model import build
from hil.training.run.marked import RunError

TASKS: dict[str, dict[Substrate, str]] = {
    "xor": {"hopfield": "xor-cells", "resistive": "xor-resistive"},
    "iris": {"hopfield": "iris-cells", "resistive": "iris"},
    "wine": {"hopfield": "wine-cells", "resistive": "wine-resistive"},
    "digits": {"hopfield": "digits-cells", "resistive": "digits-resistive"},
    "mnist-cells": {"hopfield": "mnist-cells", "resistive": "mnist-resistive"},
    "mnist-dense": {"hopfield": "mnist-dense"},
}
"""Experiment of every task by substrate. All but the last have every weight in the device's cells."""
TRIALS = ("digits", "wine", "iris", "xor")
"""On the first of these that a device can take its rules are tried."""


class BenchmarkError(RunError):
    """A benchmark that cannot be run as asked; the message says what would be right."""


@dataclass(frozen=True)
class Counterpart:
    """What is benchmarked.

    Attributes:
        address: As it was given.
        said: What it says of itself, for provenance: JSON values.
        sheet: Its datasheet; None where it has none.
    """

    address: str
    said: dict[str, object]
    sheet: Datasheet | None

    @property
    def substrate(self) -> Substrate:
        """Of its datasheet; a rack is a bare array of resistors, the reference takes either and gets neurons."""
        if self.sheet is not None:
            return self.sheet.fabric.substrate
        return "resistive" if self.said.get("kind") == "rack" else "hopfield"


def met(address: str, visa_library: str | None = None) -> Counterpart:
    """Opens a counterpart, asks who it is, and closes it; outputs stay off.

    Raises:
        AddressError, DatasheetError, BenchFileError, DeviceError: it cannot be opened.
    """
    with open_bench(address, visa_library=visa_library) as bench:
        said = bench.describe()
    sheet = said.get("datasheet")
    try:
        return Counterpart(address, said, Datasheet.model_validate(sheet) if isinstance(sheet, dict) else None)
    except ValidationError as error:
        raise BenchmarkError(f"{address}: its datasheet does not read back: {error.errors()[0]['msg']}") from error


def chosen(names: Sequence[str]) -> list[str]:
    """Tasks by name, in the order of `TASKS`; all for none.

    Raises:
        BenchmarkError: there is no such task.
    """
    for name in names:
        if name not in TASKS:
            raise BenchmarkError(f"{name!r} is no task of the benchmark; {close(name, list(TASKS))}")
    return [name for name in TASKS if not names or name in names]


def seeds_of(text: str) -> list[int]:
    """Seeds from `0,1,2`.

    Raises:
        BenchmarkError: they are no whole numbers, or one is there twice.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise BenchmarkError(f"--seeds {text}: whole numbers are expected, each once, e.g. 0,1,2")
    return [int(part) for part in parts]


def fitting(
    counterpart: Counterpart, names: Sequence[str], data_root: Path, visa_library: str | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Experiments of the tasks that can be trained, and why the others cannot.

    Args:
        counterpart: Which; it is opened once a task, nothing is sent to its cells.
        names: Of tasks.
        data_root: Folder of the data sets.
        visa_library: In place of what a bench file says.
    """
    takes, left_out = {}, {}
    for name in names:
        experiment = TASKS[name].get(counterpart.substrate)
        if experiment is None:
            left_out[name] = f"there is no {counterpart.substrate} form of it"
            continue
        loaded = experiment_file.load(experiment)
        try:
            dataset = data.load(loaded.data, data_root)
            with open_bench(counterpart.address, visa_library=visa_library) as bench:
                build(loaded, bench, dataset.shape, dataset.classes)
        except (PlacementError, DataError) as error:
            left_out[name] = str(error)
            continue
        takes[name] = experiment
    return takes, left_out
