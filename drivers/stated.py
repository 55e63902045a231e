"""Numbers a device states of itself, held against what they can be before anything is computed with them.

A number that cannot be (half a bit, a conductance range that ends before it begins, a write that takes a year) would
surface later as a division by zero, a wrong code or a deadline that never comes. Here it is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.errors import ProtocolViolation
from firmware_specs.codes import Capability, Parameter
from firmware_specs.pairs import LEAST_SIGNIFICANCE, MOST_PAIRS

LONGEST_S = 60.0
"""Stated time of one phase, write or reading, at most: deadlines are made of it."""
SMALLEST, LARGEST = 1e-15, 1e15
RANGES: dict[Parameter, tuple[float, float]] = {
    Parameter.STATE_UNIT_V: (SMALLEST, LARGEST),
    Parameter.TRANSIMPEDANCE_OHM: (SMALLEST, LARGEST),
    Parameter.LINEAR_LOW_V: (-LARGEST, LARGEST),
    Parameter.LINEAR_HIGH_V: (-LARGEST, LARGEST),
    Parameter.G_MIN_S: (0.0, LARGEST),
    Parameter.G_MAX_S: (SMALLEST, LARGEST),
    Parameter.CELL_BITS: (1, 32),
    Parameter.SETTLE_TIME_S: (0.0, LONGEST_S),
    Parameter.WRITE_TIME_S: (0.0, LONGEST_S),
    Parameter.READ_TIME_S: (0.0, LONGEST_S),
    Parameter.MAX_READS: (1, 65535),
    Parameter.SETTLE_TOLERANCE: (0.0, LARGEST),
    Parameter.UPDATE_RATE_PER_S: (SMALLEST, LARGEST),
    Parameter.UPDATE_WINDOW_S: (SMALLEST, LONGEST_S),
    Parameter.UPDATE_BATCH: (1, 0xFFFFFFFF),
    Parameter.CLAMPED_HIGH_V: (SMALLEST, LARGEST),
    Parameter.PAIRS: (1, MOST_PAIRS),
    Parameter.PAIR_SIGNIFICANCE: (LEAST_SIGNIFICANCE, 1),
    Parameter.HALF_SELECT: (0.0, 1.0),
}
WHOLE = (Parameter.CELL_BITS, Parameter.MAX_READS, Parameter.UPDATE_BATCH, Parameter.PAIRS)
RISING = ((Parameter.G_MIN_S, Parameter.G_MAX_S), (Parameter.LINEAR_LOW_V, Parameter.LINEAR_HIGH_V))
OF_CELLS = (Parameter.G_MIN_S, Parameter.G_MAX_S, Parameter.CELL_BITS)
OF_UPDATES = (Parameter.UPDATE_RATE_PER_S, Parameter.UPDATE_WINDOW_S, Parameter.UPDATE_BATCH)
CELLS = Capability.WRITE | Capability.READ
NEGLIGIBLE_S = 1e-12
"""A stated time shorter than this is none."""


def credible(parameters: Mapping[int, float], capabilities: Capability, device: str) -> dict[int, float]:
    """The parameters as they are; ids that are not known are kept and mean nothing.

    Raises:
        ProtocolViolation: one cannot be what it says, or a number of the cells is missing.
    """
    for which, (lowest, highest) in RANGES.items():
        value = parameters.get(which)
        if value is None:
            continue
        if not lowest <= value <= highest or (which in WHOLE and value != int(value)):
            raise _refused(f"{which.name} is {value:g}, {lowest:g} .. {highest:g} can be", device)
    for low, high in RISING:
        if low in parameters and high in parameters and not parameters[low] < parameters[high]:
            raise _refused(f"{low.name} is {parameters[low]:g}, not below {high.name}, {parameters[high]:g}", device)
    if capabilities & CELLS and (missing := [which.name for which in OF_CELLS if which not in parameters]):
        raise _refused(f"it reads or writes cells and does not state {', '.join(missing)}", device)
    pairs = parameters.get(Parameter.PAIRS, 1)
    if pairs > 1 and Capability.DIFFERENTIAL not in capabilities:
        raise _refused(f"PAIRS is {pairs:g} without DIFFERENTIAL", device)
    if capabilities & Capability.UPDATE and (
        missing := [which.name for which in OF_UPDATES if which not in parameters]
    ):
        raise _refused(f"it updates itself and does not state {', '.join(missing)}", device)
    if capabilities & Capability.COINCIDE and Parameter.HALF_SELECT not in parameters:
        raise _refused("rows and columns can be pulsed together, and it does not state HALF_SELECT", device)
    times = (Parameter.SETTLE_TIME_S, Parameter.WRITE_TIME_S, Parameter.READ_TIME_S)
    return {n: 0.0 if n in times and value < NEGLIGIBLE_S else value for n, value in parameters.items()}


def _refused(what: str, device: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"what the device states of itself cannot be: {what}", device=device, todo="Mend its firmware or its settings"
    )
