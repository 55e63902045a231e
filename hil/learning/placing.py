"""An array of a bench for the energy of a block."""

from __future__ import annotations

from hil.counterparts.seam import AnyEnergy, Array, Bench, PlacementError
from hil.learning.energies import Energy


def placed(energy: Energy, bench: Bench) -> Array:
    """An array of the bench for an energy.

    Raises:
        PlacementError: it does not fit, or the counterpart holds crossbar networks only.
    """
    if energy.topology is not None:
        return bench.place(energy.topology)
    if isinstance(bench, AnyEnergy):
        return bench.place_energy(energy)
    raise PlacementError(
        f"{bench.address} holds crossbar networks, and the energy {energy.name} is none: settle it on reference:, or "
        "give it a topology (Energy.topology)"
    )


def placed_beside(energy: Energy, bench: Bench) -> Array:
    """One more array for the same cells, which never settles.

    Raises:
        PlacementError: there is none left.
    """
    try:
        return placed(energy, bench)
    except PlacementError as error:
        raise PlacementError(
            f"the rule of updates needs another array beside each one that settles: {error}; or a rule that needs one "
            "array, update.kind = 'mixed' or 'pulsed'"
        ) from error
