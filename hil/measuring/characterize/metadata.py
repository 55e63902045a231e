"""What a stranger needs to read a dataset: coordinates, names, units, time stamps, uncertainties (CF conventions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

CONVENTIONS = "CF-1.11"
PLACES = ("plane", "row", "column", "unit", "input")
NAMES = {
    "level": "share of the conductance range, 0 at g_min_s and 1 at g_max_s",
    "conductance": "conductance, mean of the readings",
    "target": "level that was asked for, on the grid of the device's codes",
    "age": "time since the write",
    "current": "current of a cell",
    "voltage": "voltage at a cell",
    "state": "state of a unit",
    "drive": "drive of all units",
    "rest": "level of the cells at rest",
    "nudge": "nudge of all outputs, either way",
    "shift": "shift of the drive of all units, either way",
    "contrast": "state nudged up less state nudged down, outputs",
    "input_contrast": "state nudged up less state nudged down, first layer",
    "shifted": "state with the drive shifted up less that with it shifted down, outputs",
    "kelvin": "temperature that was set",
    "chip_kelvin": "temperature that the chip says",
    "time": "wait before the states are read",
    "direction": "1: pulses up, -1: pulses down, 0: before the first",
    "pulses": "pulses since the step before",
    "cycle": "way up and down",
    "amplitude": "height of a pulse",
    "width": "width of a pulse",
    "temperature": "temperature of the chip",
    "utc": "when the step was measured",
    "plane": "plane of the crossbar: 0 G+, 1 G- where weights are pairs",
    "row": "row of the crossbar, unit of the first layer",
    "column": "column of the crossbar, unit of the last layer",
    "unit": "unit of the layer that was read",
    "input": "unit of the first layer",
}
"""Long names of the variables and coordinates of the items that come with this package."""
EPOCH = {"units": "seconds since 1970-01-01T00:00:00Z", "calendar": "standard"}


def described(data: xr.Dataset, units: Mapping[str, str]) -> xr.Dataset:
    """The dataset with everything said.

    Readings of levels gain `conductance`, siemens, and `conductance_sigma`, the standard uncertainty (k = 1, type A) of
    the mean of the readings.

    Args:
        data: Measured.
        units: Of its variables and coordinates.
    """
    sized = {name: np.arange(data.sizes[name]) for name in PLACES if name in data.sizes}
    found = data.assign_coords(sized)
    if "level" in found and "read" in found["level"].dims and "g_min_s" in found.attrs:
        found = _in_siemens(found)
    for name in found.variables:
        text = str(name)
        about = found[name].attrs
        if text in units:
            about["units"] = units[text]
        elif text in PLACES:
            about["units"] = "1"
        base = text.rstrip("0123456789").removesuffix("_")
        about.setdefault("long_name", NAMES.get(text, NAMES.get(base, text.replace("_", " "))))
    if "utc" in found.coords:
        found["utc"].attrs |= EPOCH
    return found.assign_attrs(Conventions=CONVENTIONS, uncertainty="standard uncertainty, k = 1")


def _in_siemens(data: xr.Dataset) -> xr.Dataset:
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    level = data["level"]
    mean = low + level.mean("read") * (high - low)
    sigma = level.std("read", ddof=1) / np.sqrt(data.sizes["read"]) * (high - low)
    mean.attrs = {"units": "S", "long_name": NAMES["conductance"], "ancillary_variables": "conductance_sigma"}
    sigma.attrs = {"units": "S", "long_name": "standard uncertainty of the mean conductance, type A, k = 1"}
    return data.assign(conductance=mean, conductance_sigma=sigma)
