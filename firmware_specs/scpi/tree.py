"""The command tree as data (SCPI.md section 5), and how a header finds its command."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import NamedTuple

from firmware_specs.scpi.headers import Headers

REGION = "array, coupling, plane, row, rows, column, columns"


class Form(Enum):
    """In which forms a command exists; the value is its mark in the table."""

    COMMAND = ""
    QUERY = "?"
    BOTH = "+"
    ACT = "!"


class Command(NamedTuple):
    """One header.

    Attributes:
        header: Capitals are the short form, brackets may be left out.
        form: Query, command, or both.
        parameters: For people.
        answer: For people.
    """

    header: str
    form: Form
    parameters: str = ""
    answer: str = ""


Q, C, B, A = Form.QUERY, Form.COMMAND, Form.BOTH, Form.ACT

COMMANDS: tuple[Command, ...] = (
    Command("*CLS", C),
    Command("*ESE", B, "mask", "mask"),
    Command("*ESR", Q, "", "event status, cleared by reading"),
    Command("*IDN", Q, "", "vendor,model,serial,firmware"),
    Command("*OPC", B, "", "1"),
    Command("*RST", C),
    Command("*SRE", B, "mask", "mask"),
    Command("*STB", Q, "", "status byte"),
    Command("*TST", Q, "", "0 passed, 1 failed"),
    Command("*WAI", C),
    Command("SYSTem:ERRor[:NEXT]", Q, "", 'code,"text"'),
    Command("SYSTem:ERRor:ALL", Q, "", 'code,"text" of every entry, or 0,"No error"'),
    Command("SYSTem:ERRor:COUNt", Q, "", "entries"),
    Command("SYSTem:VERSion", Q, "", "1999.0"),
    Command("SYSTem:HELP:HEADers", Q, "", "block: one header a line, /qonly/ or /nquery/ behind it where so"),
    Command("SYSTem:ECHO", Q, "string, number or block", "the same string or block"),
    Command("SYSTem:BLOCk:MAXimum", Q, "", "most block bytes of one message, of one reply"),
    Command("SYSTem:CAPabilities", Q, "", "capability bits"),
    Command("SYSTem:BOOT", Q, "", "boot number"),
    Command("SYSTem:TRANsactions", Q, "", "count (4.1)"),
    Command("SYSTem:TRANsactions:ARMed", Q, "", "count (4.4)"),
    Command("SYSTem:SEQuence", B, "number (4.3)", "number of the last numbered message of this link, 0 for none"),
    Command("SYSTem:FAULts", Q, "[first]", 'total, then number,uptime,code,"text" of as many from `first` on as fit'),
    Command("SYSTem:TEMPerature", B, "kelvin", "kelvin"),
    Command("SYSTem:CLOCk", Q, "", "seconds"),
    Command("SYSTem:WAIT", A, "seconds", "the clock after it"),
    Command("SYSTem:SNAPshot", B, "block", "block"),
    Command("FORMat:BORDer", B, "NORMal | SWAPped", "NORM | SWAP"),
    Command(
        "STATus:DEVice", Q, "", 'state,trip,watchdog,remaining,uptime,transactions,damaged,faults,"owner" (7.3 there)'
    ),
    Command("DEVice:FABRic", Q, "", "resistive,arrays,max_layers,max_units,max_rows,max_columns[,fixed layer...]"),
    Command("DEVice:CONVerters", Q, "", "id,quantity,bits,ideal,low,high of each"),
    Command("DEVice:PARameters", Q, "", "id,value of each"),
    Command("OUTPut[:STATe]", B, "ON | OFF", "1 | 0"),
    Command("OUTPut:PROTection:WDOG", B, "seconds", "seconds, 0 when not set"),
    Command("OUTPut:PROTection:TRIPped", Q, "", "trip, 0 for none"),
    Command("OUTPut:PROTection:CLEar", C),
    Command("SOURce:LIMits", B, "eight limits (7.2 there)", "active limits"),
    Command("SOURce:LIMits:ABSolute", Q, "", "absolute limits"),
    Command("ARRay:TOPology", B, "array, JSON block (query: array)", "JSON block"),
    Command("ARRay:CELLs:WRITe", A, "array, verify, tolerance, patches (5.2)", "written,pulses,failed"),
    Command("ARRay:CELLs:READ", Q, f"{REGION} [, reads]", "block of codes"),
    Command(
        "ARRay:CELLs:PULSe", A, f"{REGION}, UP | DOWN, volts, seconds, count, or block (2 bytes each)", "delivered,most"
    ),
    Command("ARRay:CELLs:COINcide", A, "array, volts, seconds, (@trains), block (5.8)", "delivered,most"),
    Command("ARRay:CELLs:MEASure", Q, f"{REGION}, reads, volts...", "block of reals: volts, reads, rows, columns"),
    Command("ARRay:CELLs:USAGe", Q, REGION, "block of reals: pulses of every cell, then joules"),
    Command(
        "ARRay:SETTle", Q, "array, batch, nudges, reads, seconds (0: usual), (@layers), blocks (5.3)", "block of codes"
    ),
    Command("ARRay:SETTle:STATistics", Q, "", "block of reals (5.4)"),
    Command(
        "ARRay:PRODuct", Q, "array, coupling, plane, FORWard | TRANsposed, reads, batch, block", "block of codes"
    ),
    Command(
        "ARRay:UPDate", A, "array, batch, nudges, seconds (0: usual), (@terms), blocks (5.7)",
        "clipped,ends,unsettled,most",
    ),
)  # fmt: skip
"""Every command of SCPI.md: header, form, parameters and answer."""


@cache
def mnemonics(word: str) -> tuple[str, ...]:
    """Spellings of one node or word: long and short form, in capitals. Common commands have one."""
    short = "".join(letter for letter in word if not letter.islower())
    return (word.upper(),) if short in (word, "") else (word.upper(), short)


def matches(word: str, given: str) -> bool:
    """Does `given` spell the word, in any case?"""
    return given.upper() in mnemonics(word)


_INDEX = Headers(command.header for command in COMMANDS)


def find(header: str) -> Command:
    """The command of a header, without `?` and leading colon, in any case.

    Raises:
        LookupError: there is none.
        ValueError: there is, but not with this numeric suffix.
    """
    return COMMANDS[_INDEX.find(header)[0]]


def headers() -> str:
    """Answer of SYSTem:HELP:HEADers?: one header a line."""
    marks = {Form.QUERY: "?/qonly/", Form.COMMAND: "/nquery/"}
    return "".join(f"{'' if c.header.startswith('*') else ':'}{c.header}{marks.get(c.form, '')}\n" for c in COMMANDS)


def table() -> str:
    """The table of SCPI.md section 5, in Markdown."""
    lines = ["| header | | parameters | answer |", "|---|---|---|---|"]
    for header, form, parameters, answer in COMMANDS:
        lines.append(f"| `{header}` | {form.value} | {parameters.replace('|', 'or')} | {answer.replace('|', 'or')} |")
    return "\n".join(lines)
