"""All checks of the serial protocol, in the order of its text; those of `SHARED` hold for every protocol."""

from hil.conformance.check import Check
from hil.conformance.checks import (
    cells,
    contract,
    errors,
    framing,
    identity,
    limits,
    messages,
    outputs,
    products,
    pulses,
    refusals,
    repeats,
    resistive,
    sessions,
    settle,
    states,
    trips,
    wear,
)
from hil.conformance.subject import FrameSubject, Subject

SHARED: tuple[Check[Subject], ...] = (
    *identity.CHECKS,
    *refusals.CHECKS,
    *states.CHECKS,
    *limits.CHECKS,
    *cells.CHECKS,
    *pulses.CHECKS,
    *wear.CHECKS,
    *settle.CHECKS,
    *contract.CHECKS,
    *resistive.CHECKS,
    *products.CHECKS,
)
CHECKS: tuple[Check[FrameSubject], ...] = (
    *identity.CHECKS,
    *framing.CHECKS,
    *sessions.CHECKS,
    *messages.CHECKS,
    *errors.CHECKS,
    *refusals.CHECKS,
    *outputs.CHECKS,
    *states.CHECKS,
    *limits.CHECKS,
    *trips.CHECKS,
    *cells.CHECKS,
    *pulses.CHECKS,
    *wear.CHECKS,
    *repeats.CHECKS,
    *settle.CHECKS,
    *contract.CHECKS,
    *resistive.CHECKS,
    *products.CHECKS,
)
