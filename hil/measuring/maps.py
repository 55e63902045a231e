"""Maps of conductances: what the cells of a device hold, saved without writing any, and written back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from drivers.crossbar import Crossbar
from firmware_specs.topology import Topology
from hil.measuring import netcdf
from hil.measuring.placed import PlacedBlock, present_topology
from hil.outputs import MADE
from hil.training.run.atomic import write_bytes

READS = 16
ROUNDS = 8
"""Rewrites of a cell that misses, at most."""
TOLERANCE = 0.01
"""What counts as a hit, share of the conductance range."""
WHO = ("vendor", "model", "serial")


class MapError(ValueError):
    """A map that cannot be saved or written back; the message says why and what to do."""


@dataclass(frozen=True)
class Restored:
    """How a map was written back.

    Attributes:
        cells: Of all arrays.
        missed: Cells that are off by more than the tolerance.
        rms: Root mean square difference to the map, share of the range, of the cells that hit.
    """

    cells: int
    missed: int
    rms: float


def save(crossbar: Crossbar, path: Path, reads: int = READS) -> int:
    """Reads all cells of all arrays that have a block and keeps them as NetCDF; no cell is written.

    Returns:
        Number of cells.

    Raises:
        MapError: no array has a block.
    """
    variables, topologies = {}, {}
    for array in range(crossbar.info.fabric.arrays):
        topology = present_topology(crossbar, array)
        if topology is None:
            continue
        PlacedBlock(crossbar, array, topology)  # the present one: nothing changes, and outputs are on
        topologies[str(array)] = topology.model_dump(mode="json")
        for coupling in range(len(topology.couplings)):
            found_s = crossbar.read_conductances(array, coupling, reads)
            name = f"{array}_{coupling}"
            about = {"long_name": f"conductance, array {array}, coupling {coupling}", "units": "S"}
            variables[f"conductance_{name}"] = (
                tuple(f"{d}_{name}" for d in ("plane", "row", "column")),
                found_s,
                about,
            )
    if not variables:
        raise MapError(f"{crossbar.address}: no array has a block on it, so there is no map of cells in use to save")
    identity = crossbar.info.identity
    about = {
        **{name: getattr(identity, name) for name in WHO},
        "firmware": identity.firmware,
        "topologies": json.dumps(topologies),
        "reads": str(reads),
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        "Conventions": "CF-1.11",
        "made_by": MADE,
    }
    write_bytes(path, netcdf.packed(netcdf.Dataset(variables, attrs=about)))
    return sum(int(np.size(v[1])) for v in variables.values())


def restore(
    crossbar: Crossbar, path: Path, *, any_chip: bool = False, rounds: int = ROUNDS, tolerance: float = TOLERANCE
) -> Restored:
    """Places the map's blocks and writes its conductances, verified.

    Raises:
        MapError: no map, or of another chip and `any_chip` is not given.
    """
    data, blocks = _read(path)
    identity = crossbar.info.identity
    other = [f"{n} {data.attrs.get(n)}" for n in WHO if data.attrs.get(n) != getattr(identity, n)]
    if other and not any_chip:
        raise MapError(f"{path} is of another chip ({', '.join(other)}): --any-chip writes it all the same")
    cells = missed = 0
    squares: list[NDArray[np.float64]] = []
    for array, topology in blocks.items():
        block = PlacedBlock(crossbar, array, topology)
        wanted_s = [_cells(data, path, array, n, block) for n in range(len(topology.couplings))]
        for n in range(len(wanted_s)):
            crossbar.forget(array, n, np.ones(block.cells(n), np.bool_))
        crossbar.program(array, wanted_s, verify_rounds=rounds, tolerance=tolerance)
        for n, wanted in enumerate(wanted_s):
            off = np.abs(crossbar.read_conductances(array, n, READS) - wanted) / block.span_s
            hit = off <= 2 * tolerance
            cells, missed = cells + off.size, missed + int((~hit).sum())
            squares.append(off[hit] ** 2)
    together = np.concatenate(squares)
    return Restored(cells, missed, float(np.sqrt(together.mean())) if together.size else float("nan"))


def _read(path: Path) -> tuple[netcdf.Dataset, dict[int, Topology]]:
    try:
        data = netcdf.load(path)
        blocks = {int(n): Topology.model_validate(t) for n, t in json.loads(str(data.attrs["topologies"])).items()}
    except (KeyError, ValidationError, ValueError, AttributeError) as error:
        said = str(error).splitlines()[0]
        raise MapError(f"{path}: no map of conductances as `hil map save` makes them ({said})") from error
    return data, blocks


def _cells(data: netcdf.Dataset, path: Path, array: int, coupling: int, block: PlacedBlock) -> NDArray[np.float64]:
    name, shape = f"conductance_{array}_{coupling}", block.cells(coupling)
    if name not in data or data[name].shape != shape or data[name].dtype.kind != "f":
        raise MapError(f"{path}: {name} of shape {shape} is expected by its own topology")
    values = np.asarray(data[name].to_numpy(), np.float64)
    if not np.isfinite(values).all():
        raise MapError(f"{path}: {name} holds {int((~np.isfinite(values)).sum())} values that are not numbers")
    return np.clip(values, *block.crossbar.g_range_s)
