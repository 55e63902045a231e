"""All checks of the serial protocol, in the order of its text; those of `SHARED` hold for every protocol."""

from hil.conformance.check import Check
from hil.conformance.checks import (
    cells,
    errors,
    framing,
    identity,
    limits,
    messages,
    outputs,
    pulses,
    refusals,
    repeats,
    resistive,
    sessions,
    settle,
    trips,
)
from hil.conformance.subject import FrameSubject, Subject

SHARED: tuple[Check[Subject], ...] = (
    *identity.CHECKS,
    *refusals.CHECKS,
    *limits.CHECKS,
    *cells.CHECKS,
    *pulses.CHECKS,
    *settle.CHECKS,
    *resistive.CHECKS,
)
CHECKS: tuple[Check[FrameSubject], ...] = (
    *identity.CHECKS,
    *framing.CHECKS,
    *sessions.CHECKS,
    *messages.CHECKS,
    *errors.CHECKS,
    *refusals.CHECKS,
    *outputs.CHECKS,
    *limits.CHECKS,
    *trips.CHECKS,
    *cells.CHECKS,
    *pulses.CHECKS,
    *repeats.CHECKS,
    *settle.CHECKS,
    *resistive.CHECKS,
)
