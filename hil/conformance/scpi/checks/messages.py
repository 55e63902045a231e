"""Messages, headers and parameters (SCPI.md section 1)."""

from __future__ import annotations

from firmware_specs.codes import Capability
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.scpi.subject import ScpiSubject

MAX_MESSAGE = 65_536


def _spellings(subject: ScpiSubject) -> None:
    version = subject.talk.ask("SYST:VERS?")
    for header in ("SYSTem:VERSion?", "system:version?", ":SYST:VERS?", "sYsT:vErSiOn?"):
        demand(subject.talk.ask(header) == version, f"{header} is not answered as SYST:VERS? is")
    subject.talk.refused("SYSTE:VERS?", -113)
    demand(subject.talk.ask("OUTP:STAT?") == subject.talk.ask("OUTP?"), "the optional node [:STATe] cannot be given")


def _tree(subject: ScpiSubject) -> None:
    answer = subject.talk.ask("SYST:ERR:COUN?;ALL?;:SYST:VERS?")
    parts = answer.split(";")
    demand(len(parts) == 3 and parts[0] == "0", f"a header behind ';' does not start at its parent: {answer!r}")
    answer = subject.talk.ask("SYST:ERR:COUN?;*OPC?;ALL?")
    demand(len(answer.split(";")) == 3, f"a common command moved the place in the tree: {answer!r}")


def _joined(subject: ScpiSubject) -> None:
    answer = subject.talk.ask('SYST:ECHO? "a;b";:SYST:ECHO? "c""d"')
    demand(answer == '"a;b";"c""d"', f"two replies came as {answer!r}")


def _carriage_return(subject: ScpiSubject) -> None:
    subject.talk.send_raw(b"*OPC?\r\n")
    demand(subject.talk.line("*OPC? with CR LF") == "1", "*OPC? with CR LF did not answer 1")
    demand(not subject.talk.errors(), "a CR before the LF left an error")


def _in_pieces(subject: ScpiSubject) -> None:
    subject.needs_stream()
    for byte in b'SYST:ECHO? "piece by piece"\n':
        subject.talk.send_raw(bytes([byte]))
    answer = subject.talk.line("a message sent byte by byte")
    demand(answer.strip('"') == "piece by piece", f"a message sent byte by byte was answered {answer!r}")


def _two_at_once(subject: ScpiSubject) -> None:
    subject.needs_stream()
    subject.talk.send_raw(b"SYST:ECHO? 1\nSYST:ECHO? 2\n")
    answers = [subject.talk.line("two messages in one piece").strip('"') for _ in range(2)]
    demand(answers == ["1", "2"], f"two messages in one piece were answered {answers}")


def _too_long(subject: ScpiSubject) -> None:
    subject.talk.refused('SYST:ECHO? "' + "x" * MAX_MESSAGE + '"', -363)
    demand(subject.talk.ask("*OPC?") == "1", "the message behind one that was too long is not answered")


def _numbers(subject: ScpiSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    for text, seconds in (("2", 2.0), ("1.5", 1.5), ("3e0", 3.0), ("1500 MS", 1.5), ("#H2", 2.0), ("+2.5 S", 2.5)):
        subject.talk.send(f"OUTP:PROT:WDOG {text}")
        found = subject.talk.number("OUTP:PROT:WDOG?")
        demand(found == seconds, f"OUTPut:PROTection:WDOG {text} set {found} s, expected {seconds}")


def _help(subject: ScpiSubject) -> None:
    listed = subject.talk.block("SYST:HELP:HEAD?").decode(errors="replace").upper()
    for header in ("*IDN", "SYSTEM:ERROR", "OUTPUT[:STATE]", "ARRAY:SETTLE", "ARRAY:CELLS:WRITE"):
        demand(header in listed, f"SYSTem:HELP:HEADers? does not list {header}")


CHECKS = (
    Check("messages.spellings", "1.2", "headers are taken long, short, in any case, with a leading colon", _spellings),
    Check("messages.tree", "1.2", "a header behind ';' starts at the parent of the one before it", _tree),
    Check("messages.joined", "1.1", "replies of one message are joined by ';'; strings double their quotes", _joined),
    Check("messages.carriage-return", "1.1", "a CR before the LF is ignored", _carriage_return),
    Check("messages.in-pieces", "1.1", "a message may arrive byte by byte", _in_pieces),
    Check("messages.two-at-once", "1.1", "two messages in one piece are two messages", _two_at_once),
    Check("messages.too-long", "1.5", "a message that is too long is dropped with -363", _too_long),
    Check("messages.numbers", "1.3", "numbers may have exponents, units, multipliers, a base", _numbers),
    Check("messages.help", "5", "SYSTem:HELP:HEADers? lists the commands", _help),
)
