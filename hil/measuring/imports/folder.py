"""Imported measurements as the folder of a characterization: readings, figures, provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hil.measuring import netcdf
from hil.measuring.characterize.figure import Figure
from hil.measuring.estimate import Estimate
from hil.measuring.imports.readings import KINDS, UNITS, ImportRefused, Readings
from hil.measuring.laws import samples
from hil.training.run.atomic import write_bytes, write_json
from hil.training.run.provenance import code_version

LONG = {
    "conductance": "conductance",
    "time": "time since the write or the first reading",
    "pulse": "pulses taken in this ramp",
    "polarity": "direction of the pulses: 1 up, -1 down",
    "amplitude": "height of the pulse before",
    "width": "width of the pulse before",
    "target": "target of the write",
    "temperature": "temperature",
    "cycle": "cycle of ramps",
}


def write(
    readings: Readings, folder: Path, fmt: str, files: Sequence[Path], left_out: Sequence[str] = (), model: str = ""
) -> None:
    """Writes readings, and what can be said of them at once, beside what is in the folder already.

    Args:
        readings: Of one kind; a kind the folder has is refused.
        folder: Made where it does not exist.
        fmt: Format they were read by.
        files: What they were read from.
        left_out: Bad rows, as they were named.
        model: What the device is called; the stem of the first file when empty.

    Raises:
        ImportRefused: the folder is another's, or has this kind.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "provenance.json").is_file():
        raise ImportRefused(f"{folder}: not empty, and no import; name a new folder")
    path = folder / f"{readings.kind}.nc"
    if path.exists():
        raise ImportRefused(f"{folder}: has {readings.kind} already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, netcdf.packed(dataset(readings)))
    kept = _read_json(folder / "provenance.json")
    kept.setdefault("address", f"import:{fmt}")
    kept.setdefault("started", datetime.now(UTC).isoformat(timespec="seconds"))
    kept.setdefault("code", code_version())
    kept.setdefault("model", model or files[0].name.split(".")[0])
    kept.setdefault("imports", []).append(
        {
            "kind": readings.kind,
            "format": fmt,
            "source": dict(readings.source),
            "files": [{"name": file.name, "sha256": _digest(file)} for file in files],
            "rows_left_out": len(left_out),
            "left_out": list(left_out[:100]),
        }
    )
    found = _read_json(folder / "figures.json")
    origin = readings.source.get("origin", "not said")
    kept |= {"plan": {}, "device": {}}
    chip = {"vendor": origin, "model": kept["model"], "serial": "imported", "firmware": "none"}
    said = summary(readings)
    skipped = found.get("skipped", {}) | {f.name: "the readings give no finite number" for f in said if not f.finite}
    figures = found.get("figures", []) + [f.to_json() for f in said if f.finite]
    write_json(folder / "provenance.json", kept | {"chip": chip})
    write_json(folder / "figures.json", {"chip": chip, "figures": figures, "skipped": skipped})


def dataset(readings: Readings) -> netcdf.Dataset:
    """Readings as a dataset that says what every column is."""
    columns = {name: ("reading", values) for name, values in readings.columns.items()}
    found = netcdf.Dataset({"cell": ("reading", readings.cell), **columns})
    for name in readings.columns:
        found[name].attrs |= {"units": UNITS[name], "long_name": LONG[name]}
    found["cell"].attrs |= {"units": "1", "long_name": "number of the cell"}
    found.attrs |= {"kind": readings.kind, "description": KINDS[readings.kind]} | dict(readings.source)
    return found


def load(folder: Path) -> dict[str, Readings]:
    """Readings of an import, by kind; none where the folder is no import.

    Raises:
        ImportRefused: a file of it cannot be read.
    """
    found: dict[str, Readings] = {}
    for kind in KINDS:
        path = folder / f"{kind}.nc"
        if not path.is_file():
            continue
        try:
            data = netcdf.load(path)
            columns = {str(n): np.asarray(data[n].to_numpy(), dtype=np.float64) for n in data.data_vars if n != "cell"}
            cell = np.asarray(data["cell"].to_numpy(), dtype=np.int64)
        except (OSError, KeyError, ValueError) as error:
            raise ImportRefused(f"{path}: not readable: {error}") from error
        source = {k: str(v) for k, v in data.attrs.items() if k not in ("kind", "description")}
        found[kind] = Readings(kind, cell, columns, (), source)  # type: ignore[arg-type]
    return found


def summary(readings: Readings) -> list[Figure]:
    """What can be said of readings without a law."""
    g = readings.conductance_s
    figures = [
        Figure(f"{readings.kind}.cells", Estimate(float(len(np.unique(readings.cell))), 0.0)),
        Figure(f"{readings.kind}.readings", Estimate(float(len(readings)), 0.0)),
        Figure(f"{readings.kind}.lowest", Estimate(float(g.min()), 0.0, "S")),
        Figure(f"{readings.kind}.highest", Estimate(float(g.max()), 0.0, "S")),
    ]
    within = samples.range_of(readings)
    if readings.kind == "ramps" and within.span_s > 0:
        for ramps in samples.ramps_of(readings, within):
            each = np.nanmean(ramps.steps, axis=1)
            error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0
            figures.append(Figure(f"ramps.step_{'up' if ramps.up else 'down'}", Estimate(float(each.mean()), error)))
    if readings.kind == "retention":
        data = samples.retention_of(readings)
        moved = data.siemens[:, -1] - data.siemens[:, 0]
        moved = moved[np.isfinite(moved)]
        spread = float(samples.robust_spread(moved))
        figures.append(Figure("retention.moved", Estimate(float(np.median(moved)), spread / np.sqrt(len(moved)), "S")))
        figures.append(Figure("retention.spread", Estimate(spread, spread / np.sqrt(2 * len(moved)), "S")))
    return figures


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
