"""Trains analog crossbar chips: hybrid back-propagation and equilibrium propagation over any counterpart."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_specs.chains import conv_chain, dense_chain
    from firmware_specs.registry import plugin, register, trust
    from firmware_specs.topology import Conv, Dense, Layer, Topology
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
    **dict.fromkeys(("Conv", "Dense", "Layer", "Topology"), "firmware_specs.topology"),
    **dict.fromkeys(("conv_chain", "dense_chain"), "firmware_specs.chains"),
    **dict.fromkeys(("plugin", "register", "trust"), "firmware_specs.registry"),
    "open_bench": "hil.counterparts.opening.bench",
    "Energy": "hil.learning.energies",
    "EnergyBlock": "hil.learning.block",
    "Estimator": "hil.learning.estimator",
    "load_run": "hil.training.loaded",
}


def _refuse_shadows() -> None:
    """A folder or file beside a script that has the name of one of our packages would be imported in its place."""
    ours = Path(__file__).parents[1]
    for name in ("drivers", "emulator", "firmware_specs"):
        spec = find_spec(name)
        places = [Path(p) for p in (spec.submodule_search_locations or [spec.origin or ""])] if spec else []
        if places and places[0].parent.resolve() != ours.resolve():
            raise ImportError(
                f"{places[0]} has the name of a package of crossbar-hil ({name}) and is found before it: rename it, or "
                "start Python elsewhere"
            )


_refuse_shadows()


def __getattr__(name: str) -> object:
    """Loads a public name on first use, so that `hil --help` does not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("crossbar-hil")
    if name not in _HOMES:
        raise AttributeError(f"module 'hil' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, whether they are loaded yet or not."""
    return sorted(__all__)
