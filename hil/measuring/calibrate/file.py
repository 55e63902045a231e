"""The calibration file: header, figures with uncertainties and corrections, as TOML; maps of cells beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tomli_w
from pydantic import ValidationError

from drivers.crossbar import Crossbar
from drivers.errors import CalibrationExpired
from firmware_specs.codes import Capability
from firmware_specs.datasheet.section import Section
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.printable import printable
from firmware_specs.refusals import explain
from firmware_specs.shown import html
from firmware_specs.topology import Topology
from hil.measuring.calibrate.entries import ArrayEntry
from hil.measuring.calibrate.header import CalibrationHeader
from hil.measuring.calibrate.measure import ArrayFindings
from hil.measuring.calibrate.summary import lines
from hil.outputs import write_signed
from hil.training.run.atomic import write_bytes

if TYPE_CHECKING:  # a second of every training, which reads no maps
    import xarray as xr


class CalibrationFile(Section):
    """A calibration as a whole.

    Attributes:
        calibration: Whose it is and how long it holds.
        cells_file: NetCDF file beside it: the achieved level of every cell at every level that was asked for.
        arrays: What was measured.
    """

    calibration: CalibrationHeader
    cells_file: str | None = None
    arrays: tuple[ArrayEntry, ...]

    def _repr_html_(self) -> str:
        about = self.calibration
        head = f"{about.model} {about.serial}: {about.id}, made {about.made:%Y-%m-%d %H:%M %Z}"
        found = "".join(f"<li>{html(line)}</li>" for line in lines(self.arrays))
        return f"<p>{html(head)}, holds {about.valid_days:g} days</p><ul>{found}</ul>"

    def entry(self, array: int, topology: Topology) -> ArrayEntry:
        """What holds for a block on an array.

        Raises:
            CalibrationExpired: the array was calibrated with another block, or not at all.
        """
        found = next((entry for entry in self.arrays if entry.array == array), None)
        was, other = "not calibrated", ""
        if found is not None:
            block = Topology.model_validate_json(found.topology)
            if _in_rails(block) == _in_rails(topology):
                return found
            parts = (name for name in Topology.model_fields if getattr(block, name) != getattr(topology, name))
            was, other = f"calibrated with {_brief(block)}", f" (other {', '.join(parts)})"
        raise CalibrationExpired(
            f"calibration {self.calibration.id}: array {array} was {was}, the block to train is {_brief(topology)}"
            + other,
            todo="Calibrate with the experiment that is to be trained",
        )


def _in_rails(topology: Topology) -> Topology:
    """The block as a device is told it, which is the same for every rail; itself where its rails differ."""
    try:
        return topology.in_rails()
    except ValueError:
        return topology


@dataclass(frozen=True)
class Identified:
    """What a calibration is of and how long it holds."""

    id: str
    valid_days: float


def write(path: Path, what: Identified, crossbar: Crossbar, findings: Sequence[ArrayFindings]) -> CalibrationFile:
    """Writes a calibration and the maps of its cells; either file is replaced as a whole."""
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
    from hil.measuring import netcdf

    maps = _maps(findings).assign_attrs(calibration=header.id, model=header.model, serial=header.serial)
    cells = cells_beside(path) if maps.data_vars else None
    if cells is not None:
        write_bytes(cells, netcdf.packed(maps))
    made = CalibrationFile(
        calibration=header,
        cells_file=None if cells is None else cells.name,
        arrays=tuple(ArrayEntry.of(number, found) for number, found in enumerate(findings)),
    )
    write_signed(path, tomli_w.dumps(made.model_dump(exclude_none=True)))
    return made


def cells_beside(path: Path) -> Path:
    """Where the maps of a calibration's cells go."""
    return path.with_suffix(".cells.nc")


def read(path: Path) -> CalibrationFile:
    """Reads a calibration.

    Raises:
        CalibrationExpired: unreadable or refused; the message names file and key.
    """
    try:
        return CalibrationFile.model_validate(parse_toml(read_text(path)))
    except FileNotFoundError as error:
        raise CalibrationExpired(
            f"calibration {path} is not there", todo=f"`hil calibrate -o {path}` makes it"
        ) from error
    except ValidationError as error:
        raise CalibrationExpired(f"calibration {path}: " + "; ".join(explain(error, None, CalibrationFile))) from error
    except (OSError, ValueError) as error:
        raise CalibrationExpired(f"calibration {path}: not readable: {error}") from error


def maps(path: Path, calibration: CalibrationFile) -> xr.Dataset:
    """The maps beside a calibration: `achieved_A_C` of array A, coupling C, (level, plane, row, column).

    Raises:
        CalibrationExpired: they are not there, or another calibration's.
    """
    from hil.measuring import netcdf

    try:
        beside = path.with_name(calibration.cells_file or "")
        found = netcdf.load(beside)
    except ValueError as error:
        raise CalibrationExpired(f"maps of cells: not readable: {error}") from error
    whose = str(found.attrs.get("calibration", "no calibration"))
    if whose != calibration.calibration.id:
        raise CalibrationExpired(f"maps of cells {beside}: of {printable(whose, 80)}, not of {path}")
    return found


def _brief(topology: Topology) -> str:
    return f"{topology.substrate} {'-'.join(str(layer.units) for layer in topology.layers)}"


def _maps(findings: Sequence[ArrayFindings]) -> xr.Dataset:
    from hil.measuring import netcdf

    found = {}
    for array, measured in enumerate(findings):
        for coupling, cells in enumerate(measured.cells):
            if cells is not None:
                place = f"{array}_{coupling}"
                dims = ("level", f"plane_{place}", f"row_{place}", f"column_{place}")
                what = {"units": "1", "long_name": "achieved level", "uncertainty": cells.read_sigma}
                found[f"achieved_{place}"] = (dims, cells.achieved.astype(np.float32), what)
    asked = next((c.asked for m in findings for c in m.cells if c is not None), ())
    return netcdf.Dataset(found, {"level": ("level", list(asked), {"units": "1", "long_name": "asked level"})})
