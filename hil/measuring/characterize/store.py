"""Where measurements are kept: one small file a step, written whole or not at all, and NetCDF made of them.

The journal of steps is what a resume believes; the NetCDF file of an item is rewritten from it as a whole every few
seconds and at the end, so that it can be read while the measurement runs.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from hil.measuring.characterize.steps import Mark, Record
from hil.training.run.atomic import write_bytes, write_json

PUBLISH_S = 2.0


class Store:
    """Measurements of one characterization.

    Args:
        folder: Where; made if it does not exist.
        attributes: Provenance that every dataset carries.
    """

    def __init__(self, folder: Path, attributes: Mapping[str, str]) -> None:
        self.folder = folder
        self._attributes = dict(attributes)
        self._published = 0.0
        (folder / "journal").mkdir(parents=True, exist_ok=True)

    def done(self, item: str) -> int:
        """Steps of an item that are complete."""
        return len(list(self._journal(item).glob("*.npz")))

    def intend(self, item: str, step: int, deed: int, mark: Mark) -> None:
        """Notes that a deed is about to be done."""
        write_json(self._journal(item) / "intent.json", {"step": step, "deed": deed, **asdict(mark)})

    def intent(self, item: str, step: int) -> tuple[int, Mark] | None:
        """The deed of a step that was begun last, and the mark before it; None where none was."""
        path = self._journal(item) / "intent.json"
        if not path.is_file():
            return None
        noted = json.loads(path.read_text())
        if noted["step"] != step:
            return None
        return noted["deed"], Mark(noted["pulses"], noted["clock_s"])

    def last_pulses(self, item: str) -> int:
        """Writes and pulses the device had counted before the deed of an item that was begun last; 0 where none was."""
        path = self._journal(item) / "intent.json"
        return int(json.loads(path.read_text())["pulses"]) if path.is_file() else 0

    def keep(self, item: str, step: int, record: Record, at: Mapping[str, float]) -> None:
        """Keeps what a step gave."""
        buffer = io.BytesIO()
        np.savez(buffer, **{f"at_{k}": np.float64(v) for k, v in at.items()}, **record)  # type: ignore[arg-type]
        write_bytes(self._journal(item) / f"{step:05d}.npz", buffer.getvalue())

    def dataset(self, item: str, dims: Mapping[str, tuple[str, ...]], units: Mapping[str, str]) -> xr.Dataset:
        """All complete steps, stacked along `step`.

        Args:
            item: Which measurement.
            dims: Names of the dimensions of every variable, behind `step`.
            units: Unit of every variable and coordinate.
        """
        rows = [dict(np.load(path, allow_pickle=False)) for path in sorted(self._journal(item).glob("*.npz"))]
        if not rows:
            raise ValueError(f"{item}: no step is complete")
        data = {name: (("step", *names), np.stack([row[name] for row in rows])) for name, names in dims.items()}
        coordinates = {k.removeprefix("at_"): ("step", [float(r[k]) for r in rows]) for k in rows[0] if k[:3] == "at_"}
        found = xr.Dataset(data, coordinates, self._attributes | {"item": item})
        for name, unit in units.items():
            if name in found.variables:
                found[name].attrs["units"] = unit
        return found

    def publish(self, item: str, dataset: xr.Dataset) -> Path:
        """Replaces the item's NetCDF file."""
        path = self.folder / f"{item}.nc"
        write_bytes(path, bytes(dataset.to_netcdf(engine="h5netcdf")))
        self._published = time.monotonic()
        return path

    @property
    def due(self) -> bool:
        """Is it time to publish again?"""
        return time.monotonic() - self._published > PUBLISH_S

    def _journal(self, item: str) -> Path:
        path = self.folder / "journal" / item
        path.mkdir(exist_ok=True)
        return path
