"""What a device does, and refuses, in SAFE, ARMED and TRIPPED (PROTOCOL.md sections 6.4, 6.5, 7.3 and 7.4)."""

from __future__ import annotations

import contextlib
import time

import numpy as np

from firmware_specs.codes import RULES, Capability, ConverterId, ErrorCode, Opcode, State, Trip
from firmware_specs.messages import (
    Coincide,
    Configure,
    Measure,
    Patch,
    Product,
    Pulse,
    ReadCells,
    Settle,
    Term,
    Train,
    Update,
    WriteCells,
    pack_number,
    parse_number,
)
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import WATCHDOG_S, Subject

SHORT_S = 0.3
MARGIN_S = 0.15
HEAT_S = 1.0
"""Within which a device must have seen that it is too hot."""


def _armed_requests(subject: Subject) -> dict[Opcode, bytes]:
    """A sound request of every armed verb that the device has; placed on array 0."""
    subject.verbs.ask(Opcode.CONFIGURE, Configure(0, subject.topology).pack())
    region, limits = subject.region(), subject.limits.absolute
    cells = subject.cell_codes(np.full((region.rows, region.columns), 0.5))
    requests = {
        Opcode.WRITE_CELLS: WriteCells(0, (Patch(region, cells),)).pack(),
        Opcode.READ_CELLS: ReadCells(region).pack(),
        Opcode.MEASURE: Measure(region, np.array([limits.max_read_v / 2])).pack(),
    }
    with contextlib.suppress(Skipped):  # a wrong device would act on it
        requests[Opcode.PULSE] = Pulse(region, True, *subject.pulse_shape(), 1).pack()
    capabilities = subject.identity.capabilities
    if Capability.SETTLE in capabilities:
        drive = subject.drive_codes(np.zeros((1, int(np.prod(subject.topology.drive_shape)))))
        requests[Opcode.SETTLE] = Settle(0, drive, layers=(0,)).pack()
    if Capability.UPDATE in capabilities:
        update = Update(0, drive, (), (Term(0, 0),), np.zeros(1, np.float32))
        requests[Opcode.UPDATE] = update.pack()
    if Capability.COINCIDE in capabilities:
        with contextlib.suppress(Skipped):
            bits = np.ones((1, region.rows), np.bool_), np.ones((1, region.columns), np.bool_)
            coincide = Coincide(0, *subject.pulse_shape(), (Train(region, True, *bits),))
            requests[Opcode.COINCIDE] = coincide.pack()
    if Capability.PRODUCT in capabilities:
        volts = subject.codes(ConverterId.PRODUCT_DAC, np.zeros((1, region.rows)))
        requests[Opcode.PRODUCT] = Product(0, 0, 0, False, volts).pack()
    asked = {opcode: payload for opcode, payload in requests.items() if RULES[opcode].capability in capabilities}
    if not asked:
        raise Skipped("the device has no armed verb")
    return asked


def _all_refused(subject: Subject, requests: dict[Opcode, bytes], code: ErrorCode) -> None:
    """Demands that every armed verb is refused, and that no cell had a pulse."""
    counts = Capability.USAGE in subject.identity.capabilities
    before = subject.usage(subject.region()).pulses if counts else None
    for opcode, payload in requests.items():
        subject.verbs.refused(opcode, payload, code)
    if before is not None:
        grown = subject.usage(subject.region()).pulses.astype(np.int64) - before
        demand(not grown.any(), f"requests that were refused with {code.name} gave cells {grown.max()} pulses")


def _not_armed(subject: Subject) -> None:
    _all_refused(subject, _armed_requests(subject), ErrorCode.NOT_ARMED)


def _tripped(subject: Subject) -> None:
    subject.needs(Capability.WATCHDOG)
    requests = _armed_requests(subject)
    subject.arm(SHORT_S)
    time.sleep(SHORT_S + MARGIN_S)
    demand(subject.status.state == State.TRIPPED, "the watchdog did not trip")
    _all_refused(subject, requests, ErrorCode.TRIPPED)


def _self_test(subject: Subject) -> None:
    subject.needs(Capability.SELF_TEST)
    subject.arm()
    subject.verbs.refused(Opcode.SELF_TEST, b"", ErrorCode.CONFLICT)
    demand(subject.status.state == State.ARMED, "a refused SELF_TEST changed the state")


def _too_hot(subject: Subject) -> None:
    """The limit comes down to the chip, not the chip up to the limit."""
    subject.needs(Capability.TEMPERATURE)
    subject.arm()
    kelvin = parse_number(subject.verbs.ask(Opcode.TEMPERATURE))
    try:
        subject.limit(max_temperature_k=0.95 * kelvin)
        until = time.monotonic() + HEAT_S
        while (status := subject.status).state == State.ARMED and time.monotonic() < until:
            time.sleep(MARGIN_S)
        seen = f"{kelvin:g} K, limit {0.95 * kelvin:g} K: state {status.state.name}, trip {status.trip.name}"
        demand((status.state, status.trip) == (State.TRIPPED, Trip.OVER_TEMPERATURE), seen)
        subject.verbs.refused(Opcode.CLEAR, b"", ErrorCode.TRIPPED)
        subject.verbs.refused(Opcode.ARM, b"", ErrorCode.TRIPPED)
    finally:
        subject.restart()  # leaves TRIPPED and the limit, whatever went wrong


def _watchdog_range(subject: Subject) -> None:
    subject.needs(Capability.WATCHDOG)
    for seconds in (0.0, -1.0, 0.009, 60.1, 1e9):
        subject.verbs.refused(Opcode.WATCHDOG, pack_number(seconds), ErrorCode.OUT_OF_RANGE, ErrorCode.MALFORMED)
    subject.verbs.ask(Opcode.WATCHDOG, pack_number(WATCHDOG_S))


CHECKS = (
    Check("outputs.watchdog-range", "7.4", "watchdog times outside 0.01 .. 60 s are refused", _watchdog_range),
    Check("outputs.not-armed", "6.5", "armed verbs do nothing in SAFE and answer NOT_ARMED", _not_armed),
    Check("outputs.tripped", "6.5", "armed verbs do nothing in TRIPPED and answer TRIPPED", _tripped),
    Check("outputs.self-test", "7.3", "SELF_TEST is refused while ARMED", _self_test),
    Check("outputs.too-hot", "6.4", "above max_temperature_k is a trip, not to be cleared", _too_hot),
)
