"""Stopping rules of the reference relaxation, from an experiment."""

from __future__ import annotations

from emulator.network import Stop
from hil.experiments.sections import Settling


def stops(settle: Settling) -> tuple[Stop, Stop]:
    """Of the free and of the nudged phases."""
    nudged = settle.tolerance if settle.nudged_tolerance is None else settle.nudged_tolerance
    bound = settle.nudged_max_iterations or settle.max_iterations
    return Stop(settle.max_iterations, settle.tolerance), Stop(bound, nudged)
