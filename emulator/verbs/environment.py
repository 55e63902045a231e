"""Temperature and the clock of an emulated chip (PROTOCOL.md 7.9)."""

from __future__ import annotations

from emulator.device import Device
from emulator.refused import Refused
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import MalformedError, pack_number, parse_number

MOST_K = 10_000.0
MOST_CLOCK_S = 1e12
"""Thirty thousand years: beyond it no drift law of ours is a law."""


def temperature(device: Device, payload: bytes, door: str) -> bytes:
    """TEMPERATURE."""
    return pack_number(device.chip.conditions.temperature_k)


def set_temperature(device: Device, payload: bytes, door: str) -> bytes:
    """SET_TEMPERATURE; above the limit outputs go off."""
    kelvin = parse_number(payload)
    if kelvin <= 0:
        raise MalformedError(0, f"{kelvin} K, expected more than 0 K")
    if kelvin > MOST_K:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{kelvin:g} K: at most {MOST_K:g} K")
    device.chip.conditions.set_temperature(kelvin)
    device.journal.note("setpoint", "temperature", door, temperature_k=kelvin)
    device.poll()
    return pack_number(kelvin)


def clock(device: Device, payload: bytes, door: str) -> bytes:
    """CLOCK."""
    return pack_number(device.chip.conditions.clock_s)


def wait(device: Device, payload: bytes, door: str) -> bytes:
    """WAIT: the chip's clock runs, real time and watchdog do not."""
    seconds = parse_number(payload)
    if seconds < 0:
        raise MalformedError(0, f"{seconds} s, expected 0 or more")
    if device.chip.conditions.clock_s + seconds > MOST_CLOCK_S:
        raise Refused(ErrorCode.OUT_OF_RANGE, f"{seconds:g} s: the chip's clock goes to {MOST_CLOCK_S:g} s")
    device.chip.wait(seconds)
    return pack_number(device.chip.conditions.clock_s)
