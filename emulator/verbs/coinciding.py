"""COINCIDE (PROTOCOL.md 7.11): rows and columns are pulsed together, and cells move where pulses meet."""

from __future__ import annotations

import numpy as np

from emulator.device import Device
from emulator.refused import Refused
from emulator.verbs.cells import check_pulse, check_region, refuse_long
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import SLOTS_OF_A_TRAIN, Coincide, Pulsed


def coincide(device: Device, payload: bytes, door: str) -> bytes:
    """COINCIDE."""
    request, able, law = Coincide.parse(payload), device.sheet.coincidence, device.sheet.pulses
    assert able is not None  # noqa: S101 - the capability says so
    for train in request.trains:
        check_region(device, train.region)
    seen_v = able.half_select * request.amplitude_v
    if any(law.effort(seen_v, request.width_s, up) > 0 for up in (True, False)):
        words = f"half-selected cells would see {seen_v:g} V, which moves them"
        raise Refused(ErrorCode.OUT_OF_RANGE, words)
    check_pulse(device, request.amplitude_v, request.width_s)
    most_j = request.amplitude_v**2 * request.width_s * device.sheet.cells.g_max_s
    block = device.topology(request.array)
    totals = request.totals(lambda coupling: block.cells(block.couplings[coupling]))
    for plane, (counts, half) in totals.items():
        device.ledger.check(
            plane, counts, most_j, device.active, half.astype(np.float64) * (most_j * able.half_select**2)
        )
    longest = max(train.slots for train in request.trains)
    if longest > SLOTS_OF_A_TRAIN:
        raise Refused(ErrorCode.TOO_LARGE, f"{longest} slots of a train, at most {SLOTS_OF_A_TRAIN}", SLOTS_OF_A_TRAIN)
    refuse_long([counts for counts, _ in totals.values()])
    device.journal.note(
        "setpoint", f"pulse rows and columns of array {request.array}", door, trains=len(request.trains),
        pulses=sum(int(counts.sum()) for counts, _ in totals.values()), amplitude_v=request.amplitude_v,
        width_s=request.width_s,
    )  # fmt: skip
    delivered, _ = device.chip.coincide(request.array, request.trains, request.amplitude_v, request.width_s)
    device.work(request.slots * (request.width_s + device.sheet.programming.write_time_s))
    most = max(int(device.ledger.usage(train.region)[0].max()) for train in request.trains)
    return Pulsed(delivered, min(most, 2**32 - 1)).pack()
