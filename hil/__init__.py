"""Trains analog crossbar chips: hybrid back-propagation and equilibrium propagation over any counterpart."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_specs.registry import plugin, register, trust
    from firmware_specs.topology import Conv, Dense, Layer, Topology, conv_chain, dense_chain
    from hil.counterparts.opening.bench import open_bench
    from hil.learning.block import EnergyBlock
    from hil.learning.energies import Energy
    from hil.learning.estimator import Estimator
    from hil.training.loaded import load_run

__all__ = [
    "Conv", "Dense", "Energy", "EnergyBlock", "Estimator", "Layer", "Topology", "conv_chain", "dense_chain",
    "load_run", "open_bench", "plugin", "register", "trust",
]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("Conv", "Dense", "Layer", "Topology", "conv_chain", "dense_chain"), "firmware_specs.topology"),
    **dict.fromkeys(("plugin", "register", "trust"), "firmware_specs.registry"),
    "open_bench": "hil.counterparts.opening.bench",
    "Energy": "hil.learning.energies",
    "EnergyBlock": "hil.learning.block",
    "Estimator": "hil.learning.estimator",
    "load_run": "hil.training.loaded",
}


def __getattr__(name: str) -> object:
    """Loads a public name on first use, so that `hil --help` does not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hil' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, whether they are loaded yet or not."""
    return sorted(__all__)
