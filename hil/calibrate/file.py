"""The calibration file: header, figures with uncertainties and corrections, as TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from drivers.crossbar import Crossbar
from drivers.errors import CalibrationExpired
from firmware_specs.codes import Capability
from firmware_specs.datasheet.load import explain
from firmware_specs.datasheet.section import Section
from firmware_specs.topology import Topology
from hil.calibrate.header import CalibrationHeader
from hil.calibrate.measure import ArrayFindings
from hil.calibrate.transfer import Transfer
from hil.run.atomic import write_text

Numbers = tuple[float, ...]


class LayerEntry(Section):
    """Corrections of one layer, unit by unit, model units; see `hil.calibrate.transfer.Transfer`."""

    layer: Annotated[int, Field(ge=0)]
    gain: Numbers
    gain_sigma: Numbers
    offset: Numbers
    offset_sigma: Numbers
    read_gain: Numbers
    read_offset: Numbers
    read_sigma: Numbers
    dead: tuple[int, ...]
    noise: float

    def array(self, name: str) -> NDArray[np.float64]:
        """One of the columns."""
        return np.asarray(getattr(self, name), dtype=np.float64)


class CouplingEntry(Section):
    """How the cells of one coupling are written; `stuck` lists plane, row, column."""

    coupling: Annotated[int, Field(ge=0)]
    sigma: float
    worst: float
    stuck: tuple[tuple[int, int, int], ...]


class ArrayEntry(Section):
    """One array: the block it was calibrated with, its layers and couplings."""

    array: Annotated[int, Field(ge=0)]
    topology: str
    layers: tuple[LayerEntry, ...]
    couplings: tuple[CouplingEntry, ...]


class CalibrationFile(Section):
    """A calibration as a whole."""

    calibration: CalibrationHeader
    arrays: tuple[ArrayEntry, ...]

    def entry(self, array: int, topology: Topology) -> ArrayEntry:
        """What holds for a block on an array.

        Raises:
            CalibrationExpired: the array was calibrated with another block, or not at all.
        """
        for found in self.arrays:
            if found.array == array and Topology.model_validate_json(found.topology) == topology:
                return found
        sizes = [layer.units for layer in topology.layers]
        raise CalibrationExpired(
            f"calibration {self.calibration.id}: array {array} was not calibrated with a block of layers {sizes}",
            todo="Calibrate with the experiment that is to be trained",
        )


@dataclass(frozen=True)
class Identified:
    """What a calibration is of and how long it holds."""

    id: str
    valid_days: float


def write(path: Path, what: Identified, crossbar: Crossbar, findings: Sequence[ArrayFindings]) -> CalibrationFile:
    """Writes a calibration; the file is replaced as a whole."""
    identity = crossbar.info.identity
    header = CalibrationHeader(
        id=what.id,
        model=identity.model,
        serial=identity.serial,
        firmware=identity.firmware,
        made=datetime.now(UTC).replace(microsecond=0),
        valid_days=what.valid_days,
        temperature_k=crossbar.session.temperature_k() if crossbar.info.can(Capability.TEMPERATURE) else None,
    )
    arrays = tuple(_entry(number, found) for number, found in enumerate(findings))
    made = CalibrationFile(calibration=header, arrays=arrays)
    write_text(path, tomli_w.dumps(made.model_dump(exclude_none=True)))
    return made


def read(path: Path) -> CalibrationFile:
    """Reads a calibration.

    Raises:
        CalibrationExpired: unreadable or refused; the message names file and key.
    """
    try:
        return CalibrationFile.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CalibrationExpired(f"calibration {path}: not readable: {error}") from error
    except ValidationError as error:
        raise CalibrationExpired(f"calibration {path}: " + "; ".join(explain(error))) from error


def _entry(number: int, found: ArrayFindings) -> ArrayEntry:
    layers = tuple(_layer(n, t) for n, t in enumerate(found.layers) if t is not None)
    cells = tuple(
        CouplingEntry(coupling=n, sigma=c.sigma, worst=c.worst, stuck=tuple(map(tuple, c.stuck.tolist())))
        for n, c in enumerate(found.cells)
    )
    return ArrayEntry(array=number, topology=found.topology.model_dump_json(), layers=layers, couplings=cells)


def _layer(number: int, transfer: Transfer) -> LayerEntry:
    names = ("gain", "gain_sigma", "offset", "offset_sigma", "read_gain", "read_offset", "read_sigma")
    columns = {name: tuple(round(float(v), 9) for v in getattr(transfer, name)) for name in names}
    dead = tuple(int(u) for u in np.flatnonzero(transfer.dead))
    return LayerEntry(layer=number, dead=dead, noise=transfer.noise, **columns)
