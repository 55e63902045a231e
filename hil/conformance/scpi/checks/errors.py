"""The error queue and its codes (SCPI.md sections 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import astuple

from firmware_specs.codes import Capability
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.scpi.dialogue import ENTRY
from hil.conformance.scpi.subject import ScpiSubject

DEPTH = 16


def _none(subject: ScpiSubject) -> None:
    for query in ("SYST:ERR?", "SYST:ERR:ALL?"):
        answer = subject.talk.ask(query)
        demand(answer == '0,"No error"', f"{query} answered {answer!r} with an empty queue")
    demand(subject.talk.ask("SYST:ERR:COUN?") == "0", "an empty queue does not count 0")


def _order(subject: ScpiSubject) -> None:
    subject.talk.send("NO:SUCH:HEADER")
    subject.talk.send("SYST:ECHO?")
    demand(subject.talk.ask("SYST:ERR:COUN?") == "2", "two errors do not count 2")
    codes = [subject.talk.ask("SYST:ERR?").partition(",")[0] for _ in range(3)]
    demand(codes == ["-113", "-109", "0"], f"errors -113, then -109, were taken as {codes}")


def _all(subject: ScpiSubject) -> None:
    subject.talk.send("NO:SUCH:HEADER")
    subject.talk.send("SYST:ECHO?")
    codes = [code for code, _ in subject.talk.errors()]
    demand(codes == [-113, -109], f"SYSTem:ERRor:ALL? gave {codes}, expected -113, -109")
    demand(not subject.talk.errors(), "SYSTem:ERRor:ALL? left entries in the queue")


def _overflow(subject: ScpiSubject) -> None:
    for _ in range(DEPTH + 4):
        subject.talk.send("NO:SUCH:HEADER")
    codes = [code for code, _ in subject.talk.errors()]
    demand(len(codes) == DEPTH, f"{DEPTH + 4} errors left {len(codes)} entries, expected {DEPTH}")
    demand(codes[-1] == -350 and set(codes[:-1]) == {-113}, f"the queue ends with {codes[-2:]}, expected -113, -350")


def _texts(subject: ScpiSubject) -> None:
    subject.talk.send("NO:SUCH:HEADER")
    found = ENTRY.fullmatch(subject.talk.ask("SYST:ERR?"))
    demand(found is not None and found[2].startswith("Undefined header"), f"-113 says {found and found[2]!r}")


def _header(subject: ScpiSubject) -> None:
    for message in ("NO:SUCH:HEADER", "OUTP:NOSUCH ON", "*XYZ?", "SYST:ERRO?"):
        subject.talk.refused(message, -113)


def _form(subject: ScpiSubject) -> None:
    for message in ("*CLS?", "*IDN", "SYST:VERS", "OUTP:PROT:CLE?"):
        subject.talk.refused(message, -113)


def _suffix(subject: ScpiSubject) -> None:
    demand(subject.talk.ask("OUTP1?") in ("0", "1"), "a suffix of 1 is not taken")
    subject.talk.refused("OUTP2?", -114, -113)


def _parameters(subject: ScpiSubject) -> None:
    subject.talk.refused("SYST:ECHO?", -109)
    subject.talk.refused("SYST:ECHO? 1,2", -108)
    subject.talk.refused("*IDN? 5", -108)
    subject.talk.refused("*ESE ABC", -104, -224)


def _unit(subject: ScpiSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.talk.refused("OUTP:PROT:WDOG 2 PARSEC", -131)


def _word(subject: ScpiSubject) -> None:
    subject.talk.refused("FORM:BORD SIDEWAYS", -224)
    order = subject.talk.ask("FORM:BORD?").upper()
    demand(order.startswith("SWAP"), f"a refused byte order changed it to {order}")


def _range(subject: ScpiSubject) -> None:
    subject.talk.refused("*ESE 256", -222)


def _not_a_number(subject: ScpiSubject) -> None:
    """A comparison with a limit lets NaN pass."""
    for number in ("NAN", "9.91E37", "1E400"):
        subject.talk.refused(f"OUTP:PROT:WDOG {number}", -104, -222, -224)
        subject.talk.refused(f"SOUR:LIM {','.join([number] * 8)}", -104, -222, -224)


def _signs(subject: ScpiSubject) -> None:
    """A comparison with a limit lets a negative number pass."""
    absolute = [f"{value:.9g}" for value in astuple(subject.limits.absolute)]
    for place, text in enumerate(absolute[:4]):
        for sign in ("-" + text, "0"):
            changed = ",".join([*absolute[:place], sign, *absolute[place + 1 :]])
            subject.talk.refused(f"SOUR:LIM {changed}", -222, -224)
    if Capability.PULSE in subject.identity.capabilities:
        subject.prepare()
        volts, seconds = (f"{value / 2:.9g}" for value in astuple(subject.limits.absolute)[2:4])
        for shape in (f"-{volts},{seconds}", f"{volts},-{seconds}", f"0,{seconds}", f"{volts},0"):
            subject.talk.refused(f"ARR:CELL:PULS {subject.place},UP,{shape},1", -222, -224)


def _others_executed(subject: ScpiSubject) -> None:
    answer = subject.talk.ask('NO:SUCH?;:SYST:ECHO? "after"')
    demand(answer.strip('"') == "after", f"the unit behind one that fails answered {answer!r}")
    answer = subject.talk.ask("NO:SUCH?;:SYST:ERR:ALL?")
    demand(answer.startswith("-113,") and len(ENTRY.findall(answer)) == 2, f"{answer!r} instead of two entries of -113")


def _alone(subject: ScpiSubject) -> None:
    answer = subject.talk.ask("OUTP?;:SYST:ERR:ALL?")
    demand(answer == '0;0,"No error"', f"OUTP?;:SYST:ERR:ALL? answered {answer!r}")
    answer = subject.talk.ask("SYST:ECHO?;:SYST:ERR:ALL?")
    demand(answer.startswith("-109,"), f"a query that failed answered {answer!r} with its error")


CHECKS = (
    Check("queue.none", "3.2", 'an empty queue answers 0,"No error"', _none),
    Check("queue.order", "3.2", "the oldest error comes first, and is taken", _order),
    Check("queue.all", "3.2", "SYSTem:ERRor:ALL? takes every entry in order", _all),
    Check("queue.overflow", "3.2", "16 entries are kept, the last becomes -350 when more come", _overflow),
    Check("queue.texts", "3.2", "an entry begins with its standard text", _texts),
    Check("codes.header", "3.2", "an unknown header is -113", _header),
    Check("codes.form", "5", "a query of a command, and a command of a query, are -113", _form),
    Check("codes.suffix", "1.2", "a numeric suffix is 1 or absent, another is -114", _suffix),
    Check("codes.parameters", "3.2", "too few parameters are -109, too many -108, of another kind -104", _parameters),
    Check("codes.unit", "3.2", "an unknown unit is -131", _unit),
    Check("codes.word", "3.2", "an unknown word is -224 and changes nothing", _word),
    Check("codes.range", "3.2", "a number out of range is -222", _range),
    Check("limits.signs", "5 (7.2 there)", "limits and pulses that are not positive are refused", _signs),
    Check("codes.not-a-number", "1.3", "what is no finite number is refused", _not_a_number),
    Check(
        "units.others-executed", "3.3", "a unit that fails has no reply, those behind it are executed", _others_executed
    ),
    Check("units.errors-behind", "3.3", "a message that ends with SYST:ERR:ALL? always has an answer", _alone),
)
