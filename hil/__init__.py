"""Trains analog crossbar chips: hybrid back-propagation and equilibrium propagation over any counterpart."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_specs.topology import Conv, Dense, Layer, Topology, dense_chain
    from hil.counterparts.opening.bench import open_bench
    from hil.learning.block import EnergyBlock
    from hil.learning.estimator import Estimator

__all__ = ["Conv", "Dense", "EnergyBlock", "Estimator", "Layer", "Topology", "dense_chain", "open_bench"]

_TOPOLOGY = "firmware_specs.topology"
_HOMES = {
    "open_bench": "hil.counterparts.opening.bench",
    "EnergyBlock": "hil.learning.block",
    "Estimator": "hil.learning.estimator",
}


def __getattr__(name: str) -> object:
    """Loads a public name on first use, so that `hil --help` does not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'hil' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, _TOPOLOGY)), name)
