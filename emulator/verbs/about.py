"""What the device says of itself (PROTOCOL.md 7.1 to 7.3)."""

from __future__ import annotations

from dataclasses import fields

from emulator.device import FIRMWARE, MAX_READS, Device
from emulator.refused import Refused
from firmware_specs import device_numbers
from firmware_specs.codes import VERSION, ErrorCode, Parameter, State
from firmware_specs.messages import (
    FabricInfo,
    FaultLog,
    FaultQuery,
    Identity,
    LimitsInfo,
    LimitsRecord,
    SelfTest,
    SelfTestItem,
    Status,
    pack_converters,
    pack_parameters,
)


def identify(device: Device, payload: bytes, door: str) -> bytes:
    """IDENTIFY."""
    who = device.sheet.identity
    return Identity(who.vendor, who.model, device.serial, FIRMWARE, VERSION, device.boot, device.capabilities).pack()


def fabric(device: Device, payload: bytes, door: str) -> bytes:
    """FABRIC."""
    spec = device.sheet.fabric
    sizes = (spec.arrays, spec.max_layers, spec.max_units, spec.max_rows, spec.max_columns)
    return FabricInfo(device.sheet.resistive, *sizes, spec.layers).pack()


def converters(device: Device, payload: bytes, door: str) -> bytes:
    """CONVERTERS."""
    return pack_converters(device_numbers.converters(device.sheet))


def parameters(device: Device, payload: bytes, door: str) -> bytes:
    """PARAMETERS."""
    return pack_parameters(device_numbers.parameters(device.sheet) | {Parameter.MAX_READS: MAX_READS})


def limits(device: Device, payload: bytes, door: str) -> bytes:
    """LIMITS."""
    return LimitsInfo(device.absolute, device.active).pack()


def set_limits(device: Device, payload: bytes, door: str) -> bytes:
    """SET_LIMITS."""
    wanted = LimitsRecord.parse(payload)
    if device.outputs.state is State.TRIPPED:
        raise Refused(ErrorCode.CONFLICT, "limits are set in SAFE or ARMED: CLEAR first", State.TRIPPED)
    names = [field.name for field in fields(LimitsRecord)]
    rows = zip(names, wanted.values(), device.absolute.values(), device.active.values(), strict=True)
    for number, (name, new, most, now) in enumerate(rows):
        if new > most:
            raise Refused(ErrorCode.OUT_OF_RANGE, f"{name} = {new:g} is above the absolute limit {most:g}", number)
        if new > now and device.outputs.on:
            raise Refused(ErrorCode.CONFLICT, f"{name} grows only while outputs are off", State.ARMED)
    device.active = wanted
    device.journal.note("setpoint", "limits", door, **dict(zip(names, wanted.values(), strict=True)))
    return wanted.pack()


def status(device: Device, payload: bytes, door: str) -> bytes:
    """STATUS."""
    outputs = device.outputs
    return Status(
        outputs.state, outputs.trip_cause, outputs.watchdog_s, outputs.remaining_s, device.uptime_s,
        device.transactions, device.damaged, device.faults_total, device.owner or outputs.owner,
    ).pack()  # fmt: skip


def fault_log(device: Device, payload: bytes, door: str) -> bytes:
    """FAULT_LOG."""
    query = FaultQuery.parse(payload)
    entries = [fault for fault in device.faults if fault.number >= query.first][: query.most]
    while len(reply := FaultLog(device.faults_total, tuple(entries)).pack()) > device.max_reply:
        del entries[-1 - len(entries) // 8 :]  # as many as fit
    return reply


def self_test(device: Device, payload: bytes, door: str) -> bytes:
    """SELF_TEST: looks at what can be looked at in software, the state of every configured array."""
    if device.outputs.state is not State.SAFE:
        raise Refused(ErrorCode.CONFLICT, "self test is for SAFE only: DISARM or CLEAR first", device.outputs.state)
    items = [SelfTestItem(device.clock() >= 0, device.uptime_s, "clock")]
    cells = device.sheet.cells
    for array in sorted(device.chip.arrays):
        for number, values in enumerate(device.chip.conductances_s(array)):
            worst = float(values.max()) if bool(values.isfinite().all()) else -1.0
            items.append(SelfTestItem(0 <= worst <= 2 * cells.g_max_s, worst, f"array {array} coupling {number}"))
    return SelfTest(all(item.passed for item in items), tuple(items)).pack()


def echo(device: Device, payload: bytes, door: str) -> bytes:
    """ECHO."""
    return payload
