"""All checks of the serial protocol, in the order of its text."""

from hil.conformance.check import Check
from hil.conformance.checks import (
    cells,
    errors,
    framing,
    identity,
    messages,
    outputs,
    pulses,
    resistive,
    sessions,
    settle,
    trips,
)

CHECKS: tuple[Check, ...] = (
    *identity.CHECKS,
    *framing.CHECKS,
    *sessions.CHECKS,
    *messages.CHECKS,
    *errors.CHECKS,
    *outputs.CHECKS,
    *trips.CHECKS,
    *cells.CHECKS,
    *pulses.CHECKS,
    *settle.CHECKS,
    *resistive.CHECKS,
)
