"""OUTPut, SOURce:LIMits and DEVice (SCPI.md section 5)."""

from __future__ import annotations

from dataclasses import astuple

from emulator.scpi.common import Handler
from emulator.scpi.link import ScpiLink
from firmware_specs.codes import Opcode, State
from firmware_specs.messages import (
    FabricInfo,
    LimitsInfo,
    LimitsRecord,
    Status,
    pack_number,
    parse_converters,
    parse_parameters,
)
from firmware_specs.scpi import Parameters, numeric


def _join(*values: float) -> str:
    return ",".join(numeric(value) for value in values)


def output(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """OUTPut."""
    if query:
        return str(int(Status.parse(link.verb(Opcode.STATUS)).state is State.ARMED))
    link.verb(Opcode.ARM if p.boolean() else Opcode.DISARM)
    return None


def watchdog(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """OUTPut:PROTection:WDOG."""
    if query:
        return numeric(Status.parse(link.verb(Opcode.STATUS)).watchdog_s)
    link.verb(Opcode.WATCHDOG, pack_number(p.number()))
    return None


def tripped(link: ScpiLink, p: Parameters, query: bool) -> str:
    """OUTPut:PROTection:TRIPped?."""
    return str(int(Status.parse(link.verb(Opcode.STATUS)).trip))


def clear(link: ScpiLink, p: Parameters, query: bool) -> None:
    """OUTPut:PROTection:CLEar."""
    link.verb(Opcode.CLEAR)


def limits(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """SOURce:LIMits."""
    if query:
        return _join(*astuple(LimitsInfo.parse(link.verb(Opcode.LIMITS)).active))
    link.verb(Opcode.SET_LIMITS, LimitsRecord(*(p.limit() for _ in range(8))).pack())
    return None


def absolute_limits(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SOURce:LIMits:ABSolute?."""
    return _join(*astuple(LimitsInfo.parse(link.verb(Opcode.LIMITS)).absolute))


def fabric(link: ScpiLink, p: Parameters, query: bool) -> str:
    """DEVice:FABRic?."""
    info = FabricInfo.parse(link.verb(Opcode.FABRIC))
    sizes = (info.arrays, info.max_layers, info.max_units, info.max_rows, info.max_columns)
    return _join(int(info.resistive), *sizes, *info.layers)


def converters(link: ScpiLink, p: Parameters, query: bool) -> str:
    """DEVice:CONVerters?."""
    found = parse_converters(link.verb(Opcode.CONVERTERS))
    return ",".join(_join(c.id, c.quantity, c.bits, int(c.ideal), c.low, c.high) for c in found)


def parameters(link: ScpiLink, p: Parameters, query: bool) -> str:
    """DEVice:PARameters?."""
    return ",".join(_join(n, value) for n, value in parse_parameters(link.verb(Opcode.PARAMETERS)).items())


HANDLERS: dict[str, Handler] = {
    "OUTPut[:STATe]": output,
    "OUTPut:PROTection:WDOG": watchdog,
    "OUTPut:PROTection:TRIPped": tripped,
    "OUTPut:PROTection:CLEar": clear,
    "SOURce:LIMits": limits,
    "SOURce:LIMits:ABSolute": absolute_limits,
    "DEVice:FABRic": fabric,
    "DEVice:CONVerters": converters,
    "DEVice:PARameters": parameters,
}
