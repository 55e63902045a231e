"""Outputs, watchdog, reset (PROTOCOL.md 6 and 7.4)."""

from __future__ import annotations

from emulator.device import Device
from emulator.refused import Refused
from firmware_specs.codes import ErrorCode, State, Trip
from firmware_specs.messages import MalformedError, pack_number, parse_number

SHORTEST_WATCHDOG_S = 0.01
LONGEST_WATCHDOG_S = 60.0


def clear(device: Device, payload: bytes, door: str) -> bytes:
    """CLEAR."""
    _check_cool(device)
    device.outputs.clear()
    device.faults_unseen = False
    return b""


def _check_cool(device: Device) -> None:
    if device.too_hot:
        now_k, most_k = device.chip.conditions.temperature_k, device.active.max_temperature_k
        words = f"chip at {now_k:g} K, outputs stay off above {most_k:g} K"
        raise Refused(ErrorCode.TRIPPED, words, Trip.OVER_TEMPERATURE)


def reset(device: Device, payload: bytes, door: str) -> bytes:
    """RESET: outputs are off at once, the rest follows behind the reply (`Machine.end_reset`)."""
    device.journal.note("request", "reset", door)
    device.disarm("reset")
    device.resetting = True
    return b""


def heartbeat(device: Device, payload: bytes, door: str) -> bytes:
    """HEARTBEAT."""
    return b""


def watchdog(device: Device, payload: bytes, door: str) -> bytes:
    """WATCHDOG."""
    seconds = parse_number(payload)
    if not SHORTEST_WATCHDOG_S <= seconds <= LONGEST_WATCHDOG_S:
        raise MalformedError(0, f"{seconds} s, expected {SHORTEST_WATCHDOG_S} .. {LONGEST_WATCHDOG_S} s")
    device.outputs.set_watchdog(seconds)
    device.journal.note("setpoint", "watchdog", door, watchdog_s=seconds)
    return pack_number(seconds)


def arm(device: Device, payload: bytes, door: str) -> bytes:
    """ARM."""
    outputs = device.outputs
    if outputs.state is State.TRIPPED:
        words = f"tripped ({Trip(outputs.trip_cause).name}): CLEAR first"
        raise Refused(ErrorCode.TRIPPED, words, outputs.trip_cause)
    _check_cool(device)
    if not outputs.watchdog_s:
        raise Refused(ErrorCode.NO_WATCHDOG, "set WATCHDOG before outputs go on")
    outputs.arm(door)
    return pack_number(outputs.watchdog_s)


def disarm(device: Device, payload: bytes, door: str) -> bytes:
    """DISARM."""
    device.disarm(f"asked by {door}")
    return b""
