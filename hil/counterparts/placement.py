"""Placement: does a block fit an array, and which one is next; refusals say why and what would fit."""

from __future__ import annotations

from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Topology
from hil.counterparts.seam import PlacementError


def check_fits(datasheet: Datasheet, topology: Topology) -> None:
    """Checks a block against a device's fabric.

    Raises:
        PlacementError: naming what does not fit.
    """
    problems = [*_layer_problems(datasheet, topology), *_coupling_problems(datasheet, topology)]
    if len(topology.rails) > 1:
        given = ", ".join(f"{rail:g}" for rail in topology.rails)
        problems.append(f"its clamped layers have different rails, {given}, the device has one for all")
    if topology.substrate != datasheet.fabric.substrate:
        problems.insert(0, f"the block is {topology.substrate}, the device {datasheet.fabric.substrate}")
    if problems:
        raise PlacementError(f"does not fit {datasheet.identity.model}: " + "; ".join(problems))


def next_array(datasheet: Datasheet, used: int) -> int:
    """Index of the next free array.

    Raises:
        PlacementError: all arrays are taken.
    """
    if used >= datasheet.fabric.arrays:
        raise PlacementError(
            f"{datasheet.identity.model} has {datasheet.fabric.arrays} array(s) and block {used + 1} needs one more: "
            "use fewer blocks or a device with more arrays (sharing one array between blocks costs programming cycles)"
        )
    return used


def _layer_problems(datasheet: Datasheet, topology: Topology) -> list[str]:
    fabric = datasheet.fabric
    sizes = [layer.units for layer in topology.layers]
    if fabric.layers:
        if len(sizes) != len(fabric.layers) or any(n > m for n, m in zip(sizes, fabric.layers, strict=False)):
            return [f"layers {sizes} do not fit the wired layers {list(fabric.layers)}"]
        return []
    problems = []
    if len(sizes) > fabric.max_layers:
        problems.append(f"{len(sizes)} layers, an array has {fabric.max_layers}")
    problems += [
        f"layer {i} has {n} units, at most {fabric.max_units}" for i, n in enumerate(sizes) if n > fabric.max_units
    ]
    return problems


def _coupling_problems(datasheet: Datasheet, topology: Topology) -> list[str]:
    fabric, problems = datasheet.fabric, []
    for index, coupling in enumerate(topology.couplings):
        if coupling.kind not in fabric.couplings:
            problems.append(f"coupling {index} is {coupling.kind}, the array has {', '.join(fabric.couplings)}")
        if isinstance(coupling, Conv) and coupling.pool and not fabric.pooling:
            problems.append(f"coupling {index} pools inside the energy, the array cannot")
        rows, columns = topology.cells(coupling)
        if rows > fabric.max_rows or columns > fabric.max_columns:
            problems.append(
                f"coupling {index} needs {rows} x {columns} cells, "
                f"an array has {fabric.max_rows} x {fabric.max_columns}"
            )
    return problems
