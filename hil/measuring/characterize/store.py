"""Where measurements are kept: one small file a step, written whole or not at all, and NetCDF made of them.

The journal of steps is what a resume believes; the NetCDF file of an item is rewritten from it as a whole every few
seconds and at the end, so that it can be read while the measurement runs.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from hil.data.packed import read_npz
from hil.measuring import netcdf
from hil.measuring.characterize.health import ATTRIBUTES, Codes
from hil.measuring.characterize.metadata import described
from hil.measuring.characterize.steps import Mark, Record
from hil.measuring.characterize.told import ChipError
from hil.training.run import marked
from hil.training.run.atomic import write_bytes, write_json
from hil.training.run.documents import Count, DocumentError, Number, read

PUBLISH_S = 2.0


class Store:
    """Measurements of one characterization.

    Args:
        folder: Where; made if it does not exist.
        attributes: Provenance that every dataset carries.

    Attributes:
        health: What the first look found of every cell; goes into every dataset from then on.
    """

    def __init__(self, folder: Path, attributes: Mapping[str, str]) -> None:
        self.folder = folder
        self._attributes = dict(attributes)
        self._published = time.monotonic()
        self.health: Codes | None = None
        self.lost: list[str] = []
        (folder / "journal").mkdir(parents=True, exist_ok=True)
        netcdf.packed(netcdf.Dataset({"ready": 0}))  # loads the writer now, while no output is on

    def done(self, item: str) -> int:
        """Steps of an item that are complete, each read back.

        A last one that does not read back is measured again. One in the middle takes the item with it: the steps behind
        it stand on what it did. What is left out is set aside, and named in `lost`.
        """
        entries = self._entries(item)
        bad = next((n for n, path in enumerate(entries) if path.stem != f"{n:05d}" or not _reads_back(path)), None)
        if bad is None:
            return len(entries)
        aside = entries[bad:] if bad == len(entries) - 1 else entries
        for path in aside:
            path.replace(path.with_suffix(".npz.unreadable"))
        what = f"step {bad}" if len(aside) == 1 else "the whole item: steps stand on each other"
        self.lost.append(f"{entries[bad]} does not read back; {what} is measured again")
        return self.done(item)

    def intend(self, item: str, step: int, deed: int, mark: Mark) -> None:
        """Notes that a deed is about to be done."""
        write_json(self._journal(item) / "intent.json", {"step": step, "deed": deed, **asdict(mark)})

    def intent(self, item: str, step: int) -> tuple[int, Mark] | None:
        """The deed of a step that was begun last, and the mark before it; None where none was."""
        path = self._journal(item) / "intent.json"
        noted = _read_intent(path)
        if noted is None or noted.step != step:
            return None
        return noted.deed, Mark(noted.pulses, noted.clock_s)

    def last_pulses(self, item: str) -> int:
        """Writes and pulses the device had counted before the deed of an item that was begun last; 0 where none was."""
        noted = _read_intent(self._journal(item) / "intent.json")
        return 0 if noted is None else noted.pulses

    def keep(self, item: str, step: int, record: Record, at: Mapping[str, float]) -> None:
        """Keeps what a step gave; raises `RunError` where the folder is another one by now."""
        marked.refuse_taken_away(self.folder)
        buffer = io.BytesIO()
        stamped = {**at, "utc": time.time()}
        np.savez(buffer, **{f"at_{k}": np.float64(v) for k, v in stamped.items()}, **record)  # type: ignore[arg-type]
        write_bytes(self._journal(item) / f"{step:05d}.npz", buffer.getvalue())

    def dataset(self, item: str, dims: Mapping[str, tuple[str, ...]], units: Mapping[str, str]) -> netcdf.Dataset:
        """All complete steps, stacked along `step`.

        Args:
            item: Which measurement.
            dims: Names of the dimensions of every variable, behind `step`.
            units: Unit of every variable and coordinate.

        Returns:
            With coordinates, units, names and uncertainties that a stranger can read without this program.
        """
        rows = [read_npz(path) for path in self._entries(item)]
        if not rows:
            raise ValueError(f"{item}: no step is complete")
        named = {name: names for name, names in dims.items() if name in rows[0]}
        for name in rows[0].keys() - named.keys():  # further couplings of a block as found: level_1, level_2, ...
            base, _, number = name.rpartition("_")
            if base in dims:
                named[name] = tuple(d if d == "read" or d == "plane" else f"{d}_{number}" for d in dims[base])
        data = {name: (("step", *names), np.stack([row[name] for row in rows])) for name, names in named.items()}
        coordinates = {k.removeprefix("at_"): ("step", [float(r[k]) for r in rows]) for k in rows[0] if k[:3] == "at_"}
        found = netcdf.Dataset(data, coordinates, self._attributes | {"item": item})
        if self.health is not None:
            found["health"] = (("plane", "row", "column"), self.health, ATTRIBUTES)
        return described(found, units)

    def publish(self, item: str, dataset: netcdf.Dataset) -> Path:
        """Replaces the item's NetCDF file."""
        path = self.folder / f"{item}.nc"
        write_bytes(path, netcdf.packed(dataset))
        self._published = time.monotonic()
        return path

    @property
    def due(self) -> bool:
        """Is it time to publish again?"""
        return time.monotonic() - self._published > PUBLISH_S

    def _entries(self, item: str) -> list[Path]:
        """Files of steps, in order."""
        return sorted(path for path in self._journal(item).glob("*.npz") if path.stem.isdigit())

    def _journal(self, item: str) -> Path:
        path = self.folder / "journal" / item
        path.mkdir(exist_ok=True)
        return path


class _Intent(BaseModel):
    """What a run that was cut off was about to do."""

    step: Count
    deed: Count
    pulses: Count
    clock_s: Number


def _read_intent(path: Path) -> _Intent | None:
    try:
        return read(path, _Intent)
    except DocumentError as error:
        raise ChipError(
            f"{error}: whether its pulses went out is not known. Remove {path.parent} to measure the item anew, which "
            "its cells feel"
        ) from error


def _reads_back(path: Path) -> bool:
    try:
        return bool(read_npz(path))
    except (OSError, ValueError):
        return False
