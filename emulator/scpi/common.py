"""Common commands and SYSTem, FORMat, STATus (SCPI.md sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Callable

from emulator.scpi.link import ScpiLink
from emulator.scpi.once import LARGEST
from firmware_specs.codes import Opcode
from firmware_specs.messages import (
    FaultLog,
    FaultQuery,
    Identity,
    SelfTest,
    Status,
    pack_number,
    parse_number,
)
from firmware_specs.scpi import Parameters, block, headers, numeric, quoted
from firmware_specs.scpi.status import OPERATION_COMPLETE, SERVICE

Handler = Callable[[ScpiLink, Parameters, bool], bytes | str | None]
VERSION = "1999.0"
FAULTS = 64
FAULT_BYTES = 1100
"""Of the longest entry of the fault log: a reply holds as many as fit."""


def clear_status(link: ScpiLink, p: Parameters, query: bool) -> None:
    """*CLS."""
    link.errors.clear()
    link.status.clear()


def event_enable(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """*ESE."""
    if query:
        return str(link.status.event_enable)
    mask = p.integer(0, 255)
    p.end()
    link.status.event_enable = mask
    return None


def event_status(link: ScpiLink, p: Parameters, query: bool) -> str:
    """*ESR?."""
    return str(link.status.take_events())


def identify(link: ScpiLink, p: Parameters, query: bool) -> str:
    """*IDN?."""
    who = Identity.parse(link.verb(Opcode.IDENTIFY))
    return ",".join(field.replace(",", " ") for field in (who.vendor, who.model, who.serial, who.firmware))


def operation_complete(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """*OPC."""
    if query:
        return "1"
    link.status.events |= OPERATION_COMPLETE
    return None


def reset(link: ScpiLink, p: Parameters, query: bool) -> None:
    """*RST."""
    link.verb(Opcode.RESET)
    link.swapped, link.statistics = False, None


def service_enable(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """*SRE."""
    if query:
        return str(link.status.service_enable)
    mask = p.integer(0, 255)
    p.end()
    link.status.service_enable = mask & ~SERVICE
    return None


def status_byte(link: ScpiLink, p: Parameters, query: bool) -> str:
    """*STB?."""
    return str(link.status_byte)


def self_test(link: ScpiLink, p: Parameters, query: bool) -> str:
    """*TST?."""
    return "0" if SelfTest.parse(link.verb(Opcode.SELF_TEST)).passed else "1"


def wait_to_continue(link: ScpiLink, p: Parameters, query: bool) -> None:
    """*WAI."""


def next_error(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:ERRor?."""
    return link.errors.take()


def all_errors(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:ERRor:ALL?."""
    return link.errors.take_all()


def error_count(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:ERRor:COUNt?."""
    return str(len(link.errors))


def version(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:VERSion?."""
    return VERSION


def help_headers(link: ScpiLink, p: Parameters, query: bool) -> bytes:
    """SYSTem:HELP:HEADers?."""
    return block(headers().encode())


def echo(link: ScpiLink, p: Parameters, query: bool) -> bytes | str:
    """SYSTem:ECHO?."""
    return block(p.block()) if p.at_block else quoted(p.string())


def largest_blocks(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:BLOCk:MAXimum?."""
    return f"{link.device.max_request},{link.device.max_reply}"


def capabilities(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:CAPabilities?."""
    return str(int(Identity.parse(link.verb(Opcode.IDENTIFY)).capabilities))


def boot(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:BOOT?."""
    return str(Identity.parse(link.verb(Opcode.IDENTIFY)).boot)


def transactions(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:TRANsactions?."""
    return str(link.device.deeds)


def armed_transactions(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:TRANsactions:ARMed?."""
    return str(link.device.armed_verbs)


def sequence(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """SYSTem:SEQuence."""
    if query:
        return str(link.once.number)
    number = p.integer(0, LARGEST)
    p.end()
    link.once.named(number)
    return None


def faults(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:FAULts?."""
    first = p.integer() if p.left else 0
    most = min(FAULTS, max(1, link.device.max_reply // FAULT_BYTES))
    log = FaultLog.parse(link.verb(Opcode.FAULT_LOG, FaultQuery(first, most).pack()))
    entries = [f"{e.number},{numeric(e.uptime_s)},{e.code},{quoted(e.text)}" for e in log.entries]
    return ",".join([str(log.total), *entries])


def temperature(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """SYSTem:TEMPerature."""
    if query:
        return numeric(parse_number(link.verb(Opcode.TEMPERATURE)))
    link.verb(Opcode.SET_TEMPERATURE, pack_number(p.number()))
    return None


def clock(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:CLOCk?."""
    return numeric(parse_number(link.verb(Opcode.CLOCK)))


def wait(link: ScpiLink, p: Parameters, query: bool) -> str:
    """SYSTem:WAIT."""
    return numeric(parse_number(link.verb(Opcode.WAIT, pack_number(p.number()))))


def snapshot(link: ScpiLink, p: Parameters, query: bool) -> bytes | None:
    """SYSTem:SNAPshot."""
    if query:
        return block(link.verb(Opcode.SNAPSHOT))
    link.verb(Opcode.RESTORE, p.block())
    return None


def byte_order(link: ScpiLink, p: Parameters, query: bool) -> str | None:
    """FORMat:BORDer."""
    if query:
        return "SWAP" if link.swapped else "NORM"
    order = p.word("NORMal", "SWAPped")
    p.end()
    link.swapped = order == "SWAPPED"
    return None


def status(link: ScpiLink, p: Parameters, query: bool) -> str:
    """STATus:DEVice?."""
    now = Status.parse(link.verb(Opcode.STATUS))
    seconds = ",".join(numeric(s) for s in (now.watchdog_s, now.remaining_s, now.uptime_s))
    counts = f"{now.transactions},{now.damaged},{now.faults}"
    return f"{int(now.state)},{int(now.trip)},{seconds},{counts},{quoted(now.owner)}"


HANDLERS: dict[str, Handler] = {
    "*CLS": clear_status,
    "*ESE": event_enable,
    "*ESR": event_status,
    "*IDN": identify,
    "*OPC": operation_complete,
    "*RST": reset,
    "*SRE": service_enable,
    "*STB": status_byte,
    "*TST": self_test,
    "*WAI": wait_to_continue,
    "SYSTem:ERRor[:NEXT]": next_error,
    "SYSTem:ERRor:ALL": all_errors,
    "SYSTem:ERRor:COUNt": error_count,
    "SYSTem:VERSion": version,
    "SYSTem:HELP:HEADers": help_headers,
    "SYSTem:ECHO": echo,
    "SYSTem:BLOCk:MAXimum": largest_blocks,
    "SYSTem:CAPabilities": capabilities,
    "SYSTem:BOOT": boot,
    "SYSTem:TRANsactions": transactions,
    "SYSTem:TRANsactions:ARMed": armed_transactions,
    "SYSTem:SEQuence": sequence,
    "SYSTem:FAULts": faults,
    "SYSTem:TEMPerature": temperature,
    "SYSTem:CLOCk": clock,
    "SYSTem:WAIT": wait,
    "SYSTem:SNAPshot": snapshot,
    "FORMat:BORDer": byte_order,
    "STATus:DEVice": status,
}
