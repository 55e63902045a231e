"""Values in SCPI replies and messages: numbers, rows, blocks of codes and reals, regions."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers import answers
from drivers.errors import ProtocolViolation
from firmware_specs.messages import Coincide, Fault, FaultLog, Patch, Pulse, Region, WriteCells
from firmware_specs.scpi import BlockError, block, pack_array, parse_array

MAX_WHOLE = 2.0**64
MAX_COUNT = (1 << 32) - 1
NEWEST = 64
MOST_LOGS = 1000
"""Replies that a fault log is read from: devices keep fewer entries."""


def fields(part: bytes, device: str = "") -> list[str]:
    """Values of a reply as text; strings without their quotes."""
    try:
        return next(csv.reader([part.decode(errors="replace")], doublequote=True), [])
    except csv.Error as error:
        raise ProtocolViolation(f"values were expected: {error}", device=device, last=part) from error


def numbers(part: bytes, count: int | None = None, device: str = "") -> list[float]:
    """Numbers of a reply, `INF` among them; raises `ProtocolViolation` where there are not `count` of them."""
    values = [answers.number(field, "a question for numbers", device) for field in answers.line(part).split(",")]
    if any(math.isnan(value) for value in values) or (count is not None and len(values) != count):
        raise ProtocolViolation(f"{count} numbers were expected", device=device, last=part)
    return values


def rows(part: bytes, width: int, device: str = "") -> list[list[float]]:
    """Numbers of a reply in rows."""
    values = numbers(part, None, device)
    if len(values) % width:
        raise ProtocolViolation(f"rows of {width} numbers were expected", device=device, last=part)
    return [values[at : at + width] for at in range(0, len(values), width)]


def array(data: bytes, kind: str, *shape: int, device: str = "") -> NDArray[Any]:
    """A block of numbers of a numpy kind (`u2`, `f8`), little-endian, in a shape."""
    try:
        return parse_array(data, kind, swapped=True).reshape(shape)
    except (BlockError, ValueError) as error:
        text = f"a block of {shape} {kind} was expected: {error}"
        raise ProtocolViolation(text, device=device, last=data[:32]) from error


def counts(values: NDArray[np.float64], what: str, device: str = "") -> NDArray[np.uint32]:
    """Reals that count something, as such; raises `ProtocolViolation` where they do not."""
    if not ((values >= 0) & (values <= MAX_COUNT)).all():
        raise ProtocolViolation(f"{what}: numbers from 0 to {MAX_COUNT} were expected", device=device)
    return values.astype(np.uint32)


def finite(values: NDArray[Any], what: str, device: str = "") -> NDArray[Any]:
    """Reals that are numbers; raises `ProtocolViolation` where one is NaN or infinite."""
    if not np.isfinite(values).all():
        raise ProtocolViolation(f"{what}: NaN or infinite numbers came", device=device)
    return values


def number(value: float) -> str:
    """A number with all its digits."""
    return "INF" if math.isinf(value) else f"{value:.17g}"


def region(place: Region) -> str:
    """The seven numbers of a region."""
    return ",".join(str(value) for value in astuple(place))


def patch(cells: Patch) -> bytes:
    """A patch as parameters, with the comma before it."""
    text = b",%d,%d,%d,%d,%d,%d," % astuple(cells.region)[1:] + pack_array(cells.codes, swapped=True)
    if cells.positions is None:
        return text
    return text + b"," + pack_array(cells.positions.astype(np.uint32), swapped=True)


def fault_log(part: bytes, device: str = "") -> FaultLog:
    """Total, then number, uptime, code and text of each entry."""
    try:
        total, *rest = fields(part, device)
        entries = [rest[at : at + 4] for at in range(0, len(rest), 4)]
        return FaultLog(
            whole(float(total), device),
            tuple(Fault(whole(float(n)), float(at_s), int(code), text) for n, at_s, code, text in entries),
        )
    except ValueError as error:
        raise ProtocolViolation(f"a fault log was expected: {error}", device=device, last=part) from error


def whole(value: float, device: str = "") -> int:
    """A number that counts something; raises `ProtocolViolation` where it is not whole, negative or beyond 64 bits."""
    if not (0 <= value < MAX_WHOLE and value == int(value)):
        raise ProtocolViolation(f"{value:g} came where a whole number was expected", device=device)
    return int(value)


def number_of(part: bytes, device: str = "") -> float:
    """One finite number; raises `ProtocolViolation`."""
    value = numbers(part, 1, device)[0]
    if math.isinf(value):
        raise ProtocolViolation("an infinite number came where a finite one was expected", device=device, last=part)
    return value


def whole_number(part: bytes, device: str = "") -> int:
    """One number that counts something; raises `ProtocolViolation`."""
    return whole(number_of(part, device), device)


def whole_log(ask: Callable[[int], bytes], device: str = "") -> FaultLog:
    """A fault log that comes in as many replies as it needs; `ask` answers with the entries from a number on."""
    found: list[Fault] = []
    log = fault_log(ask(0), device)
    for _ in range(MOST_LOGS):
        found = [*found, *log.entries][-NEWEST:]
        following = log.entries[-1].number + 1 if log.entries else log.total
        if following >= log.total:
            break
        log = fault_log(ask(following), device)
    return FaultLog(log.total, tuple(found))


def write_message(request: WriteCells) -> bytes:
    """A programming transaction."""
    head = b":ARR:CELL:WRIT? %d,%d,%s" % (request.array, request.verify, number(request.tolerance).encode())
    return b"".join([head, *(patch(cells) for cells in request.patches)])


def coincide_message(request: Coincide) -> bytes:
    """Trains on rows and columns."""
    heads = ",".join(str(each) for train in request.trains for each in train.numbers)
    shape = f"{number(request.amplitude_v)},{number(request.width_s)}"
    bits = b"".join(train.bits for train in request.trains)
    return f":ARR:CELL:COIN? {request.array},{shape},(@{heads}),".encode() + block(bits)


def pulse_message(request: Pulse) -> bytes:
    """A pulse train."""
    way, count = "UP" if request.up else "DOWN", request.count
    shape = f"{number(request.amplitude_v)},{number(request.width_s)}"
    counts = str(count).encode() if isinstance(count, int) else pack_array(count.astype(np.uint16), swapped=True)
    return f":ARR:CELL:PULS? {region(request.region)},{way},{shape},".encode() + counts
