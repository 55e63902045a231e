"""Trains analog crossbar chips: hybrid back-propagation and equilibrium propagation over any counterpart."""

from firmware_specs.topology import Conv, Dense, Layer, Topology, dense_chain
from hil.bench import open_bench
from hil.block import EnergyBlock
from hil.estimator import Estimator

__all__ = ["Conv", "Dense", "EnergyBlock", "Estimator", "Layer", "Topology", "dense_chain", "open_bench"]
