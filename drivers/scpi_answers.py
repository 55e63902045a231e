"""What an instrument says of itself, as messages: held against the same rules as the serial protocol's payloads.

Both protocols describe one device (SCPI.md), so an answer counts only where PROTOCOL.md could carry it: it is packed
and parsed again, and refused in the parser's words. Numbers that fit no field, ranges that end before they begin,
states that do not exist: all of them are found in one place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from drivers import scpi_values as scpi
from drivers.errors import ProtocolViolation
from drivers.scpi_link import Part
from firmware_specs.codes import VERSION, Capability, State, Trip
from firmware_specs.messages import (
    Converter,
    FabricInfo,
    Identity,
    LimitsInfo,
    LimitsRecord,
    MalformedError,
    Pulsed,
    Status,
    Updated,
    Written,
    pack_converters,
    pack_parameters,
    parse_converters,
    parse_parameters,
)
from firmware_specs.printable import printable

T = TypeVar("T")
SHOWN = 200


def sound(what: str, make: Callable[[], bytes], parse: Callable[[bytes], T], part: Part, device: str) -> T:
    """A message made of an answer, and parsed as the serial protocol would.

    Raises:
        ProtocolViolation: it cannot be carried, or does not parse.
    """
    try:
        return parse(make())
    except (MalformedError, struct.error, ValueError, OverflowError) as error:
        text = f"{what} answered {printable(part, SHOWN)}: {printable(str(error), SHOWN)}"
        raise ProtocolViolation(text, device=device) from error


def identity(parts: list[Part], device: str) -> Identity:
    """*IDN?, SYSTem:CAPabilities? and SYSTem:BOOT?."""
    names = [name.strip() for name in parts[0].decode(errors="replace").split(",")]
    if len(names) != 4:
        raise ProtocolViolation("*IDN? needs vendor,model,serial,firmware", device=device, last=parts[0])
    capabilities, boot = (scpi.whole_number(part, device) for part in parts[1:3])
    said = Identity(names[0], names[1], names[2], names[3], VERSION, boot, Capability(capabilities))
    return sound("*IDN?", said.pack, Identity.parse, parts[0], device)


def fabric(part: Part, device: str) -> FabricInfo:
    """DEVice:FABRic?."""
    values = [scpi.whole(value, device) for value in scpi.numbers(part, None, device)]
    if len(values) < 6 or values[0] not in (0, 1):
        raise ProtocolViolation("DEVice:FABRic? needs 0 or 1 and five sizes", device=device, last=part)
    arrays, layers, units, rows, columns = values[1:6]
    said = FabricInfo(bool(values[0]), arrays, layers, units, rows, columns, tuple(values[6:]))
    return sound("DEVice:FABRic?", said.pack, FabricInfo.parse, part, device)


def converters(part: Part, device: str) -> list[Converter]:
    """DEVice:CONVerters?."""
    found = []
    for row in scpi.rows(part, 6, device):
        number, quantity, bits, ideal = (scpi.whole(value, device) for value in row[:4])
        found.append(Converter(number, quantity, bits, bool(ideal), row[4], row[5]))
    return sound("DEVice:CONVerters?", lambda: pack_converters(found), parse_converters, part, device)


def parameters(part: Part, device: str) -> dict[int, float]:
    """DEVice:PARameters?."""
    found = {scpi.whole(number, device): value for number, value in scpi.rows(part, 2, device)}
    return sound("DEVice:PARameters?", lambda: pack_parameters(found), parse_parameters, part, device)


def limits(part: Part, device: str) -> LimitsRecord:
    """SOURce:LIMits?."""
    said = LimitsRecord(*scpi.numbers(part, 8, device))
    return sound("SOURce:LIMits?", said.pack, LimitsRecord.parse, part, device)


def both_limits(parts: list[Part], device: str) -> LimitsInfo:
    """SOURce:LIMits:ABSolute? and SOURce:LIMits?."""
    return LimitsInfo(limits(parts[0], device), limits(parts[1], device))


def status(part: Part, device: str) -> Status:
    """STATus:DEVice?."""
    said = scpi.fields(part)
    if len(said) != 9:
        raise ProtocolViolation(f"STATus:DEVice? answered {len(said)} values, 9 are needed", device=device, last=part)
    values = scpi.numbers(",".join(said[:8]).encode(), 8, device)
    state, trip, done, damaged, faults = (scpi.whole(values[at], device) for at in (0, 1, 5, 6, 7))

    def make() -> bytes:
        return Status(State(state), Trip(trip), values[2], values[3], values[4], done, damaged, faults, said[8]).pack()

    return sound("STATus:DEVice?", make, Status.parse, part, device)


def written(part: Part, device: str) -> Written:
    """ARRay:CELLs:WRITe."""
    return Written(*(scpi.whole(value, device) for value in scpi.numbers(part, 3, device)))


def pulsed(part: Part, device: str) -> Pulsed:
    """ARRay:CELLs:PULSe."""
    said = Pulsed(*(scpi.whole(value, device) for value in scpi.numbers(part, 2, device)))
    return sound("ARRay:CELLs:PULSe", said.pack, Pulsed.parse, part, device)


def updated(part: Part, device: str) -> Updated:
    """ARRay:UPDate."""
    said = Updated(*(scpi.whole(value, device) for value in scpi.numbers(part, 4, device)))
    return sound("ARRay:UPDate", said.pack, Updated.parse, part, device)
